// Adagrad on a GPU.
#include "kernels/update_cuda.cuh"

namespace deepspeed::kernels {
namespace {

struct AdagradStep {
  static constexpr int kStates = 1;
  UpdateRange range;
  float* output;
  float* states[kStates];
  AdagradArgs a;

  explicit __device__ AdagradStep(const AdagradArgs& args)
      : range(args.range), output(args.range.master), states{args.sum}, a(args) {}

  __device__ float operator()(float weight, float gradient, float* s) const {
    const float g = gradient + a.l2 * weight;
    s[0] += g * g;
    return weight - a.lr * (g / (sqrtf(s[0]) + a.eps));
  }
};

}  // namespace

void adagrad_cuda(std::span<const AdagradArgs> ranges, void* table, void* stream) {
  cuda::launch<AdagradStep>(ranges, table, stream, "adagrad");
}

}  // namespace deepspeed::kernels
