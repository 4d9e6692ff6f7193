// LAMB on ranges, after You et al., "Large Batch Optimization for Deep Learning", 2019, with a clamped trust ratio.
#pragma once

#include "optim/range_optimizer.h"

namespace deepspeed::optim {

/// The trust ratio |w| / |u|, clamped to [min_coeff, max_coeff]; 1 where either norm is zero. The norms are not
/// squared.
double lamb_trust_ratio(double weight_norm, double update_norm, const Hyperparameters& values);

/// States: exp_avg, exp_avg_sq. See ParameterNormOptimizer for the two passes.
class Lamb final : public ParameterNormOptimizer {
 public:
  std::string_view name() const override { return "lamb"; }
  std::vector<StateSpec> state_specs() const override { return {{"exp_avg", 0.0}, {"exp_avg_sq", 0.0}}; }
  void prepare(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale,
               const at::Tensor& scratch, std::span<double> weight_squares,
               std::span<double> update_squares) const override;
  void apply(const LaneShard& lane, std::span<const Hyperparameters> groups, const at::Tensor& scratch,
             std::span<const double> weight_squares, std::span<const double> update_squares) const override;
};

}  // namespace deepspeed::optim
