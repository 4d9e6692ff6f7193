// Adam and AdamW on ranges; formulas and state names as torch.optim's.
#pragma once

#include "optim/range_optimizer.h"

namespace deepspeed::optim {

/// States: exp_avg, exp_avg_sq, and max_exp_avg_sq with amsgrad. A group's adam_w_mode decides how weights decay.
class Adam final : public RangeOptimizer {
 public:
  /// Only `amsgrad` is taken from the defaults: it decides the states and cannot differ between groups.
  explicit Adam(const Hyperparameters& defaults);
  std::string_view name() const override { return "adam"; }
  Needs needs() const override { return Needs::kElementwise; }
  std::vector<StateSpec> state_specs() const override;
  void step(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale) const override;

 private:
  bool amsgrad_;
};

}  // namespace deepspeed::optim
