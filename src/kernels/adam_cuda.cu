// Adam and AdamW on a GPU.
#include "kernels/update_cuda.cuh"

namespace deepspeed::kernels {
namespace {

struct AdamStep {
  static constexpr int kStates = 3;
  UpdateRange range;
  float* output;
  float* states[kStates];
  AdamArgs a;

  explicit __device__ AdamStep(const AdamArgs& args)
      : range(args.range),
        output(args.range.master),
        states{args.exp_avg, args.exp_avg_sq, args.max_exp_avg_sq},
        a(args) {}

  __device__ float operator()(float weight, float gradient, float* s) const {
    const float g = gradient + a.l2 * weight;
    s[0] = a.beta1 * s[0] + a.one_minus_beta1 * g;
    s[1] = a.beta2 * s[1] + a.one_minus_beta2 * g * g;
    float second = s[1];
    if (a.max_exp_avg_sq != nullptr) {
      if (s[2] > second) second = s[2];
      s[2] = second;
    }
    const float denominator = sqrtf(second) * a.inverse_sqrt_correction + a.eps;
    return weight * a.weight_scale - a.step_size * (s[0] / denominator);
  }
};

}  // namespace

bool has_cuda_optimizers() { return true; }

void adam_cuda(std::span<const AdamArgs> ranges, void* table, void* stream) {
  cuda::launch<AdamStep>(ranges, table, stream, "adam");
}

}  // namespace deepspeed::kernels
