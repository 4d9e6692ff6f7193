// The rules by which the scale moves.
#include "precision/loss_scaler.h"

#include <algorithm>
#include <cmath>

#include "deepspeed/error.h"

namespace deepspeed::precision {

LossScaler::LossScaler() { state_.hysteresis_left = options_.hysteresis; }

LossScaler::LossScaler(const Options& options) : options_(options), dynamic_(options.loss_scale == 0) {
  state_.scale = dynamic_ ? std::ldexp(1.0, static_cast<int>(options.initial_scale_power)) : options.loss_scale;
  state_.hysteresis_left = options.hysteresis;
}

void LossScaler::update(bool overflow) {
  const int64_t iteration = state_.iteration++;
  if (!dynamic_) return;
  if (overflow) {
    state_.last_overflow_iteration = iteration;
    if (state_.hysteresis_left > 1) {
      --state_.hysteresis_left;
      return;
    }
    DS_CHECK(state_.scale > options_.min_loss_scale, ValueError,
             "[precision.loss_scaler] overflow at the minimum loss scale ", options_.min_loss_scale, " (step ",
             iteration,
             "): the gradients themselves are not finite. Lower the learning rate, use bf16, or look at the inputs.");
    state_.scale = std::max(state_.scale / 2, options_.min_loss_scale);
    return;
  }
  if (options_.consecutive_hysteresis) state_.hysteresis_left = options_.hysteresis;
  const int64_t good_steps = iteration - state_.last_overflow_iteration - 1;
  if (good_steps > 0 && good_steps % options_.loss_scale_window == 0) {
    if (!options_.consecutive_hysteresis) state_.hysteresis_left = options_.hysteresis;
    state_.scale *= 2;
  }
}

}  // namespace deepspeed::precision
