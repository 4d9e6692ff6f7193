// SGD on a GPU.
#include "kernels/update_cuda.cuh"

namespace deepspeed::kernels {
namespace {

struct SgdStep {
  static constexpr int kStates = 1;
  UpdateRange range;
  float* output;
  float* states[kStates];
  SgdArgs a;

  explicit __device__ SgdStep(const SgdArgs& args)
      : range(args.range), output(args.range.master), states{args.momentum_buffer}, a(args) {}

  __device__ float operator()(float weight, float gradient, float* s) const {
    const float g = gradient + a.l2 * weight;
    if (a.momentum_buffer == nullptr) return weight - a.lr * g;
    s[0] = a.first_step ? g : a.momentum * s[0] + a.one_minus_dampening * g;
    return weight - a.lr * (a.nesterov ? g + a.momentum * s[0] : s[0]);
  }
};

}  // namespace

void sgd_cuda(std::span<const SgdArgs> ranges, void* table, void* stream) {
  cuda::launch<SgdStep>(ranges, table, stream, "sgd");
}

}  // namespace deepspeed::kernels
