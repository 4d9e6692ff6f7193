// Lion (Chen et al. 2023) over one range in one pass.
#pragma once

#include "kernels/update_range.h"

namespace deepspeed::kernels {

/// After 1,000 steps with lr 1e-4 weights and moments differ from the update in float64 by at most this, max |a - b| /
/// max |b|: where the mixed moment is zero to rounding, its sign, and with it 2 lr, can differ.
constexpr double kLionTolerance = 1e-4;

struct LionArgs {
  UpdateRange range;
  float* exp_avg = nullptr;
  float beta1 = 0.9F;
  float one_minus_beta1 = 0.1F;
  float beta2 = 0.99F;
  float one_minus_beta2 = 0.01F;
  float lr = 1e-4F;
  float weight_scale = 1.0F;  ///< 1 - lr * weight_decay
};

/// w = weight_scale*w - lr * sign(beta1*m + (1-beta1)*g); m = beta2*m + (1-beta2)*g. sign(0) is 0, sign(NaN) is NaN.
/// The same bits however a range is split. One thread. Throws NotSupported for a float64 gradient.
void lion(const LionArgs& args);
void lion_reference(const LionArgs& args);

}  // namespace deepspeed::kernels
