// SGD, one element after another.
#include "kernels/sgd_kernels.h"
#include "kernels/update_reference.h"

namespace deepspeed::kernels {

void sgd_reference(const SgdArgs& a) {
  update_range_reference(a.range, "sgd", [&](float weight, float gradient, int64_t i) {
    const float g = gradient + a.l2 * weight;
    if (a.momentum_buffer == nullptr) return weight - a.lr * g;
    float& buffer = a.momentum_buffer[i];
    buffer = a.first_step ? g : a.momentum * buffer + a.one_minus_dampening * g;
    return weight - a.lr * (a.nesterov ? g + a.momentum * buffer : buffer);
  });
}

}  // namespace deepspeed::kernels
