// LAMB's two passes, one element after another.
#include <cmath>

#include "kernels/lamb_kernels.h"
#include "kernels/update_reference.h"

namespace deepspeed::kernels {

void lamb_prepare_reference(const LambPrepareArgs& a) {
  UpdateRange range = a.range;
  range.compute = nullptr;
  update_range_reference(range, "lamb", [&](float weight, float g, int64_t i) {
    a.exp_avg[i] = a.beta1 * a.exp_avg[i] + a.one_minus_beta1 * g;
    a.exp_avg_sq[i] = a.beta2 * a.exp_avg_sq[i] + a.one_minus_beta2 * g * g;
    const float corrected = a.exp_avg_sq[i] * a.inverse_correction2;
    const float denominator = a.eps_inside_sqrt ? std::sqrt(corrected + a.eps) : std::sqrt(corrected) + a.eps;
    a.update[i] = a.exp_avg[i] * a.inverse_correction1 / denominator + a.weight_decay * weight;
    return weight;
  });
}

void lamb_apply_reference(const LambApplyArgs& a) {
  UpdateRange range = a.range;
  range.gradient = nullptr;
  update_range_reference(range, "lamb",
                         [&](float weight, float, int64_t i) { return weight - a.update[i] * a.step_size; });
}

}  // namespace deepspeed::kernels
