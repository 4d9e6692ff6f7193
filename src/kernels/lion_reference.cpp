// Lion, one element after another.
#include "kernels/lion_kernels.h"
#include "kernels/update_reference.h"

namespace deepspeed::kernels {

void lion_reference(const LionArgs& a) {
  update_range_reference(a.range, "lion", [&](float weight, float gradient, int64_t i) {
    const float mixed = a.beta1 * a.exp_avg[i] + a.one_minus_beta1 * gradient;
    a.exp_avg[i] = a.beta2 * a.exp_avg[i] + a.one_minus_beta2 * gradient;
    const float sign = mixed > 0.0F ? 1.0F : mixed < 0.0F ? -1.0F : mixed;
    return weight * a.weight_scale - a.lr * sign;
  });
}

}  // namespace deepspeed::kernels
