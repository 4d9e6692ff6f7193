// The boundary step: global gradient norm, overflow check, clipping, the optimizer on every owned range, and the gather
// of the new parameters, which travels while the next unit is stepped.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
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
  std::optional<double> gradient_norm;  ///< before clipping, without the loss scale; nothing: nobody needed it
  double scale = 1.0;                   ///< what every gradient is multiplied by in the step
  std::string first_nonfinite;          ///< on overflow: "name (rank r, element i)" of the first in rank order
};

class BoundaryStep {
 public:
  BoundaryStep(LaneStore& store, comm::Communicator& data);

  /// Norm, overflow check and clipping. Owned gradients must be final. Collective; the same result on every rank.
  StepResult inspect(const StepOptions& options);

  /// Unless inspect() found an overflow: steps every owned range with the scale that it found, and gathers. Collective.
  void apply(const optim::RangeOptimizer& optimizer, std::span<const optim::Hyperparameters> groups,
             const StepResult& inspected, int64_t step);

  /// These parameters (true, by index) are left out of the steps to come: their weights, moments and counts stay.
  void set_resting(std::vector<bool> resting) { resting_ = std::move(resting); }
  const std::vector<bool>& resting() const { return resting_; }

  /// Updates done so far, a parameter; in checkpoints.
  std::vector<int64_t>& parameter_steps() { return parameter_steps_; }

  /// The norm alone: fp64 partials a shard range, summed in rank order, so that all stages get the same bits.
  double gradient_norm(int64_t step);

  /// Gathers of parameters after steps, since the start.
  int64_t num_gathers() const { return num_gathers_; }

  /// Of the buffers that LAMB keeps beside its state.
  int64_t scratch_bytes() const;

 private:
  double partial_of(int rank) const;
  std::string find_nonfinite(int64_t step);
  void advance_segments();
  void step_elementwise(const optim::RangeOptimizer& optimizer, std::span<const optim::Hyperparameters> groups,
                        double scale, int64_t step);
  void step_with_norms(const optim::ParameterNormOptimizer& optimizer, std::span<const optim::Hyperparameters> groups,
                       double scale, int64_t step);
  void make_norm_buffers();
  void gather_after(int unit, int64_t step, std::vector<comm::Work>& works);

  LaneStore& store_;
  comm::Communicator& data_;
  std::vector<int64_t> parameter_steps_;
  std::vector<bool> resting_;
  int64_t num_gathers_ = 0;
  at::Tensor partials_;                    // [world], float64: squares of the gradients a rank's shards
  at::Tensor norms_;                       // LAMB: [2 x parameters], float64: squares of weights, then of updates
  std::vector<at::Tensor> updates_;        // LAMB: what prepare() leaves for apply(), a trainable lane each
  std::vector<std::vector<int>> buckets_;  // units whose parameters are gathered in one launch, in stepping order
  std::vector<int> bucket_ending_at_;      // by unit: the bucket that is complete after it, or -1
};

}  // namespace deepspeed::zero
