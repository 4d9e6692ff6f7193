// What a rank fills in where every rank brings its own part of the weights: its shard, at every stage.
#pragma once

#include <ATen/core/Tensor.h>

#include "comm/communicator.h"
#include "zero/lane_store.h"

namespace deepspeed::zero {

/// The part of one parameter that lies in this rank's shard; empty where none of it does.
struct ParameterPart {
  plan::Range in_parameter;
  at::Tensor values;  ///< those elements, 1-D, compute dtype: a view into the lane
  at::Tensor master;  ///< the same of the float32 master weights; undefined where the lane has none of its own
};

ParameterPart part_of(const LaneStore& store, int parameter);

/// After every rank filled its parts in: what is whole on each rank gets those of the others. Collective.
void gather_parts(LaneStore& store, comm::Communicator& data);

}  // namespace deepspeed::zero
