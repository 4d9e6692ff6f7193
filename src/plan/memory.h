// The memory contract as arithmetic: what one rank holds at each stage, and what the laid-out lanes come to.
#pragma once

#include <cstdint>
#include <vector>

#include "core/dtype.h"
#include "plan/lifetime.h"
#include "plan/unit.h"

namespace deepspeed::plan {

/// Bytes of one element in each role. `master` is 0 where the parameter is its own master (fp32 compute).
struct ElementBytes {
  int64_t compute = 4;
  int64_t accumulation = 4;
  int64_t master = 0;
  int64_t optimizer_states = 8;
};

struct ModelSize {
  int64_t trainable_numel = 0;      ///< N
  int64_t frozen_numel = 0;         ///< F
  int64_t largest_unit_numel = 0;   ///< U, padded, trainable lanes
  int64_t persistent_numel = 0;     ///< of N + F, what stays whole at stage 3
  int64_t largest_bound_numel = 0;  ///< U of the units that do not, all lanes
};

/// Counts without padding, but for U. `persistent[unit]`: stays whole at stage 3; empty: none does.
ModelSize measure(const std::vector<Unit>& units, const std::vector<bool>& persistent = {});

struct MemoryEstimate {
  double parameters = 0;
  double gradients = 0;
  double states = 0;  ///< master weights and optimizer state
  double slots = 0;
  double total() const { return parameters + gradients + states + slots; }
};

/// Bytes a rank by the formula: 0 N(c+a+m+o)+Fc; 1 N(c+a)+N(m+o)/W+Fc; 2 Nc+N(a+m+o)/W+Fc+2Ua;
/// 3 (N(c+a+m+o)+Fc)/W+2U(c+a), and what stays whole. `slot_count` is 2, or 1 without overlap. World size 1 needs no
/// reduction, but keeps the same lifetimes.
MemoryEstimate estimate_memory(const ModelSize& size, const ElementBytes& bytes, const StageLifetimes& lifetimes,
                               int world, int slot_count);

/// A model and the machines that it is to be trained on, in 16 bits with Adam: what DeepSpeed's estimators ask for.
struct NodeQuestion {
  int64_t numel = 0;               ///< elements of the model
  int64_t largest_unit_numel = 0;  ///< of its largest unit; 0: not known
  int64_t ranks_per_node = 1;
  int64_t nodes = 1;
  bool offloads_optimizer = false;   ///< gradients, masters and moments in host memory
  bool offloads_parameters = false;  ///< and the parameters
  bool builds_sharded = false;       ///< under zero.Init; else every rank builds the whole model in fp32
  double host_factor = 1.0;          ///< what host memory is multiplied by, for buffers that nobody counts
};

/// Bytes.
struct NodeMemory {
  double host = 0;    ///< a node; the larger of building the model and training it
  double device = 0;  ///< a rank
  double slots = 0;   ///< of `device`, what whole units are gathered and reduced in
};

/// Throws ValueError where there is no rank.
NodeMemory estimate_node(const NodeQuestion& question, const StageLifetimes& lifetimes);

}  // namespace deepspeed::plan
