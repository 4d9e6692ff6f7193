// Adam and AdamW, one element after another.
#include <cmath>

#include "kernels/adam_kernels.h"
#include "kernels/update_reference.h"

namespace deepspeed::kernels {

void adam_reference(const AdamArgs& a) {
  update_range_reference(a.range, "adam", [&](float weight, float gradient, int64_t i) {
    const float g = gradient + a.l2 * weight;
    a.exp_avg[i] = a.beta1 * a.exp_avg[i] + a.one_minus_beta1 * g;
    a.exp_avg_sq[i] = a.beta2 * a.exp_avg_sq[i] + a.one_minus_beta2 * g * g;
    float second = a.exp_avg_sq[i];
    if (a.max_exp_avg_sq != nullptr) {
      if (a.max_exp_avg_sq[i] > second) second = a.max_exp_avg_sq[i];
      a.max_exp_avg_sq[i] = second;
    }
    const float denominator = std::sqrt(second) * a.inverse_sqrt_correction + a.eps;
    return weight * a.weight_scale - a.step_size * (a.exp_avg[i] / denominator);
  });
}

}  // namespace deepspeed::kernels
