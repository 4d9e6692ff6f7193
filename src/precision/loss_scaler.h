// Static and dynamic loss scaling for fp16 (Micikevicius et al. 2018, section 3.2), with DeepSpeed's rules.
#pragma once

#include <cstdint>

namespace deepspeed::precision {

/// Pure state machine: one update() a boundary step, the same on every rank since overflow is agreed.
class LossScaler {
 public:
  struct Options {
    double loss_scale = 0;             ///< 0: dynamic
    int64_t initial_scale_power = 16;  ///< dynamic: starts at 2^n
    int64_t loss_scale_window = 1000;  ///< good steps before the scale doubles
    int64_t hysteresis = 2;            ///< overflows in a row before the scale halves
    double min_loss_scale = 1;
    bool consecutive_hysteresis = false;  ///< refill hysteresis at every good step
  };
  /// Everything that changes: goes into checkpoints.
  struct State {
    double scale = 1;
    int64_t iteration = 0;
    int64_t last_overflow_iteration = -1;
    int64_t hysteresis_left = 2;
    bool operator==(const State&) const = default;
  };

  /// Scale 1 for ever: fp32 and bf16.
  LossScaler();
  explicit LossScaler(const Options& options);

  double scale() const { return state_.scale; }
  bool is_dynamic() const { return dynamic_; }

  /// After each boundary step. Throws ValueError where an overflow comes at the minimum scale: training diverged.
  void update(bool overflow);

  const State& state() const { return state_; }
  void set_state(const State& state) { state_ = state; }
  /// Forces a scale (DeepSpeed's override_loss_scale); it stays until the next change.
  void set_scale(double scale) { state_.scale = scale; }

 private:
  Options options_;
  State state_;
  bool dynamic_ = false;
};

}  // namespace deepspeed::precision
