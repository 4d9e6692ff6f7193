// Adam and AdamW over one range in one pass: decode and scale the gradient, update moments and master, round.
#pragma once

#include "kernels/update_range.h"

namespace deepspeed::kernels {

/// After 1,000 steps weights and moments differ from the update in float64 by at most this, max |a - b| / max |b|: the
/// betas and 1 - lr * weight_decay are rounded to float32 once, and act at every step.
constexpr double kAdamTolerance = 2e-5;

struct AdamArgs {
  UpdateRange range;
  float* exp_avg = nullptr;
  float* exp_avg_sq = nullptr;
  float* max_exp_avg_sq = nullptr;  ///< AMSGrad's running maximum; null: plain Adam
  float beta1 = 0.9F;
  float one_minus_beta1 = 0.1F;
  float beta2 = 0.999F;
  float one_minus_beta2 = 0.001F;
  float eps = 1e-8F;
  float step_size = 1e-3F;               ///< lr / (1 - beta1^step)
  float inverse_sqrt_correction = 1.0F;  ///< 1 / sqrt(1 - beta2^step)
  float weight_scale = 1.0F;             ///< AdamW: 1 - lr * weight_decay
  float l2 = 0.0F;                       ///< Adam: weight_decay, added to the gradient
};

/// g = scale*gradient + l2*w; w *= weight_scale; m, v updated; w -= step_size * m / (sqrt(v)*correction + eps).
/// The same bits however a range is split. One thread. Throws NotSupported for a float64 gradient.
void adam(const AdamArgs& args);
void adam_reference(const AdamArgs& args);

}  // namespace deepspeed::kernels
