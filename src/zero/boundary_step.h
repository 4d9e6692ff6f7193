// The boundary step: global gradient norm, overflow check, clipping, the optimizer on every owned range, and the gather
// of the new parameters, which travels while the next unit is stepped.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "optim/hyperparameters.h"
#include "optim/range_optimizer.h"
#include "zero/lane_store.h"

namespace deepspeed::zero {

struct StepOptions {
  double loss_scale = 1.0;         ///< gradients are that much too large
  double gradient_clipping = 0.0;  ///< largest global norm; 0: none
  bool check_overflow = true;      ///< skip the step on every rank where a gradient anywhere is inf or NaN
  int64_t step = 0;                ///< for tags
};

struct StepResult {
  bool overflow = false;
  double gradient_norm = 0.0;   ///< before clipping, without the loss scale
  std::string first_nonfinite;  ///< on overflow: "name (rank r, element i)" of the first in rank order
};

class BoundaryStep {
 public:
  BoundaryStep(LaneStore& store, const optim::RangeOptimizer& optimizer, comm::Communicator& data);

  /// Owned gradients must be final. Collective; the result is the same on every rank.
  StepResult run(std::span<const optim::Hyperparameters> groups, const StepOptions& options);

  /// Updates done so far, a parameter; in checkpoints.
  std::vector<int64_t>& parameter_steps() { return parameter_steps_; }

  /// The norm alone: fp64 partials a shard range, summed in rank order, so that all stages get the same bits.
  double gradient_norm(int64_t step);

 private:
  double partial_of(int rank) const;
  std::string find_nonfinite(int64_t step);
  void advance_segments();
  void step_elementwise(std::span<const optim::Hyperparameters> groups, double scale, int64_t step);
  void step_with_norms(const optim::ParameterNormOptimizer& optimizer, std::span<const optim::Hyperparameters> groups, double scale, int64_t step);
  void gather(size_t unit, int64_t step, std::vector<comm::Work>& works);

  LaneStore& store_;
  const optim::RangeOptimizer& optimizer_;
  comm::Communicator& data_;
  std::vector<int64_t> parameter_steps_;
};

}  // namespace deepspeed::zero
