// Adagrad over one range in one pass.
#pragma once

#include "kernels/update_range.h"

namespace deepspeed::kernels {

/// After 1,000 steps weights and sums differ from the update in float64 by at most this, max |a - b| / max |b|.
constexpr double kAdagradTolerance = 3e-6;

struct AdagradArgs {
  UpdateRange range;
  float* sum = nullptr;
  float lr = 1e-2F;  ///< already divided by 1 + (step - 1) * lr_decay
  float eps = 1e-10F;
  float l2 = 0.0F;  ///< weight_decay
};

/// g = scale*gradient + l2*w; sum += g^2; w -= lr * g / (sqrt(sum) + eps).
/// The same bits however a range is split. One thread. Throws NotSupported for a float64 gradient.
void adagrad(const AdagradArgs& args);
void adagrad_reference(const AdagradArgs& args);

}  // namespace deepspeed::kernels
