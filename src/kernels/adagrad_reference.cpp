// Adagrad, one element after another.
#include <cmath>

#include "kernels/adagrad_kernels.h"
#include "kernels/update_reference.h"

namespace deepspeed::kernels {

void adagrad_reference(const AdagradArgs& a) {
  update_range_reference(a.range, "adagrad", [&](float weight, float gradient, int64_t i) {
    const float g = gradient + a.l2 * weight;
    a.sum[i] += g * g;
    return weight - a.lr * (g / (std::sqrt(a.sum[i]) + a.eps));
  });
}

}  // namespace deepspeed::kernels
