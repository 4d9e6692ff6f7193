// Adagrad on ranges; formulas and state name as torch.optim's.
#pragma once

#include "optim/range_optimizer.h"

namespace deepspeed::optim {

/// State: sum, which starts at the defaults' initial_accumulator_value.
class Adagrad final : public RangeOptimizer {
 public:
  explicit Adagrad(const Hyperparameters& defaults);
  std::string_view name() const override { return "adagrad"; }
  Needs needs() const override { return Needs::kElementwise; }
  std::vector<StateSpec> state_specs() const override;
  void step(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale) const override;

 private:
  double initial_accumulator_value_;
};

}  // namespace deepspeed::optim
