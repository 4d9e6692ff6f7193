// SGD with momentum, dampening and Nesterov's form over one range in one pass.
#pragma once

#include "kernels/update_range.h"

namespace deepspeed::kernels {

/// After 1,000 steps weights and momentum differ from the update in float64 by at most this, max |a - b| / max |b|.
constexpr double kSgdTolerance = 3e-6;

struct SgdArgs {
  UpdateRange range;
  float* momentum_buffer = nullptr;  ///< null: no momentum
  float lr = 1e-3F;
  float momentum = 0.0F;
  float one_minus_dampening = 1.0F;
  float l2 = 0.0F;  ///< weight_decay
  bool nesterov = false;
  bool first_step = false;  ///< the buffer becomes the gradient, without dampening
};

/// g = scale*gradient + l2*w; buffer = momentum*buffer + (1-dampening)*g; w -= lr * (buffer, or g + momentum*buffer).
/// The same bits however a range is split. One thread. Throws NotSupported for a float64 gradient.
void sgd(const SgdArgs& args);
void sgd_reference(const SgdArgs& args);

}  // namespace deepspeed::kernels
