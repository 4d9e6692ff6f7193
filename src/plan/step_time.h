// How long one training step takes, and what it sends: the engine's schedule played on a timeline.
//
// It follows what zero/ does, unit by unit: reductions in the agreed order through buckets and slots (reducer.h),
// gathers ahead of their use at stage 3 (binder.h), gathers beside the update at stages 1 and 2 (boundary_step.h). All
// ranks are alike, so one is played.
#pragma once

#include <cstdint>
#include <vector>

#include "plan/machine.h"
#include "plan/memory.h"
#include "plan/model_shape.h"
#include "plan/unit.h"

namespace deepspeed::plan {

/// One use of a unit in forward, for all tokens of a micro-batch of one rank.
struct UnitUse {
  int unit = 0;
  double forward_flops = 0;
  double backward_flops = 0;
  bool weights_in_backward = true;
};

/// Cut for one world size.
struct StepModel {
  std::vector<Unit> units;
  std::vector<UnitUse> uses;  ///< in forward order
};

/// `tokens` a rank and micro-batch. With `recomputes`, backward does the forward's work again.
StepModel cut_for_steps(const ModelDescription& model, int world, double tokens, bool recomputes);

/// The same names and defaults as the config's.
struct StepOptions {
  int stage = 0;
  ElementBytes bytes;
  int micro_batches = 1;  ///< gradient_accumulation_steps
  bool overlap_comm = true;
  int64_t reduce_bucket_size = 500'000'000;
  int64_t allgather_bucket_size = 500'000'000;
  int64_t persistence_threshold = 100'000;
  int64_t prefetch_bucket_size = 50'000'000;  ///< 0: no unit is gathered ahead; with two slots one is otherwise
};

struct StepTime {
  double forward_s = 0;   ///< wall time of all micro-batches' forwards
  double backward_s = 0;  ///< and backwards, with what was left of the reductions at their ends
  double boundary_s = 0;  ///< norm, update, gathers of what was updated
  double compute_s = 0;   ///< the step if collectives cost nothing
  double traffic_s = 0;   ///< the collectives one after the other, alone
  double sent_rank_bytes = 0;
  double sent_host_bytes = 0;  ///< to other hosts
  int num_collectives = 0;     ///< small ones too
  int num_gathers = 0;         ///< of parameters, as the engine counts them
  int num_reductions = 0;      ///< of gradients; at stage 0 one with the gather that follows
  double total_s() const { return forward_s + backward_s + boundary_s; }
  /// Of the step, the part in which a world without communication would be done.
  double efficiency() const { return compute_s / total_s(); }
};

/// Throws ValueError where stage or counts make no sense.
StepTime simulate_step(const StepModel& model, const Machine& machine, const StepOptions& options);

/// Which units stay whole at stage 3, for measure().
std::vector<bool> units_that_stay(const StepModel& model, int world, int64_t persistence_threshold);

}  // namespace deepspeed::plan
