// Lion on ranges, after Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023.
#pragma once

#include "optim/range_optimizer.h"

namespace deepspeed::optim {

/// State: exp_avg. Weight decay is always decoupled.
class Lion final : public RangeOptimizer {
 public:
  std::string_view name() const override { return "lion"; }
  Needs needs() const override { return Needs::kElementwise; }
  std::vector<StateSpec> state_specs() const override { return {{"exp_avg", 0.0}}; }
  void step(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale) const override;
};

}  // namespace deepspeed::optim
