// SGD on ranges; formulas and state names as torch.optim's.
#pragma once

#include "optim/range_optimizer.h"

namespace deepspeed::optim {

/// State: momentum_buffer where the defaults have a momentum.
class Sgd final : public RangeOptimizer {
 public:
  explicit Sgd(const Hyperparameters& defaults);
  std::string_view name() const override { return "sgd"; }
  Needs needs() const override { return Needs::kElementwise; }
  std::vector<StateSpec> state_specs() const override;
  void step(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale) const override;

 private:
  bool has_momentum_;
};

}  // namespace deepspeed::optim
