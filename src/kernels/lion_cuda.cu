// Lion on a GPU.
#include "kernels/update_cuda.cuh"

namespace deepspeed::kernels {
namespace {

struct LionStep {
  static constexpr int kStates = 1;
  UpdateRange range;
  float* output;
  float* states[kStates];
  LionArgs a;

  explicit __device__ LionStep(const LionArgs& args)
      : range(args.range), output(args.range.master), states{args.exp_avg}, a(args) {}

  __device__ float operator()(float weight, float gradient, float* s) const {
    const float mixed = a.beta1 * s[0] + a.one_minus_beta1 * gradient;
    s[0] = a.beta2 * s[0] + a.one_minus_beta2 * gradient;
    const float sign = mixed > 0.0F ? 1.0F : mixed < 0.0F ? -1.0F : mixed;
    return weight * a.weight_scale - a.lr * sign;
  }
};

}  // namespace

void lion_cuda(std::span<const LionArgs> ranges, void* table, void* stream) {
  cuda::launch<LionStep>(ranges, table, stream, "lion");
}

}  // namespace deepspeed::kernels
