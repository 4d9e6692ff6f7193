// How much memory training a model will take, before there is an engine.
#pragma once

#include <cstdint>

#include "deepspeed/detail/training_engine.h"
#include "deepspeed/export.h"

namespace deepspeed::detail {

/// A model and the machines that it is to be trained on, in 16 bits with Adam.
struct NodeMemoryQuestion {
  int stage = 3;
  int64_t numel = 0;               ///< elements of the model
  int64_t largest_unit_numel = 0;  ///< elements that are gathered at once; stage 3
  int64_t ranks_per_node = 1;
  int64_t nodes = 1;
  bool offloads_optimizer = false;
  bool offloads_parameters = false;
  bool builds_sharded = false;  ///< under zero.Init
  double host_factor = 1.0;     ///< what host memory is multiplied by, for buffers that nobody counts
};

struct NodeMemory {
  int64_t host_bytes = 0;    ///< a node
  int64_t device_bytes = 0;  ///< a rank
  int64_t slot_bytes = 0;    ///< of device_bytes, what whole units are gathered and reduced in
};

/// Throws ValueError for an unknown stage or no ranks.
DS_API NodeMemory estimate_node_memory(const NodeMemoryQuestion& question);

struct ModelNumels {
  int64_t all = 0;
  int64_t largest_unit = 0;  ///< of the units that an engine would cut
};

/// Tensors need no data (device meta).
DS_API ModelNumels count_elements(const ModelDescription& model);

}  // namespace deepspeed::detail
