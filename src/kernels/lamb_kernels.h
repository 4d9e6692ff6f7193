// LAMB (You et al. 2019) over one range in two passes: the trust ratio in between needs the norms of whole parameters.
#pragma once

#include "kernels/update_range.h"

namespace deepspeed::kernels {

/// After 1,000 steps with one trust ratio weights and moments differ from the update in float64 by at most this,
/// max |a - b| / max |b|: the betas are rounded to float32 once, and act at every step.
constexpr double kLambTolerance = 1e-5;

struct LambPrepareArgs {
  UpdateRange range;  ///< compute is not touched
  float* exp_avg = nullptr;
  float* exp_avg_sq = nullptr;
  float* update = nullptr;  ///< receives the direction u, before the trust ratio
  float beta1 = 0.9F;
  float one_minus_beta1 = 0.1F;
  float beta2 = 0.999F;
  float one_minus_beta2 = 0.001F;
  float eps = 1e-8F;
  float inverse_correction1 = 1.0F;  ///< 1 / (1 - beta1^step)
  float inverse_correction2 = 1.0F;  ///< 1 / (1 - beta2^step)
  float weight_decay = 0.0F;
  bool eps_inside_sqrt = false;
};

/// u = m_hat / (sqrt(v_hat) + eps) + weight_decay*w, or m_hat / sqrt(v_hat + eps) + ... with eps_inside_sqrt.
/// The same bits however a range is split. One thread. Throws NotSupported for a float64 gradient.
void lamb_prepare(const LambPrepareArgs& args);
void lamb_prepare_reference(const LambPrepareArgs& args);

struct LambApplyArgs {
  UpdateRange range;              ///< gradient is not read
  const float* update = nullptr;  ///< u of the first pass
  float step_size = 1e-3F;        ///< lr x trust ratio
};

/// w -= step_size * u, and the cast.
void lamb_apply(const LambApplyArgs& args);
void lamb_apply_reference(const LambApplyArgs& args);

}  // namespace deepspeed::kernels
