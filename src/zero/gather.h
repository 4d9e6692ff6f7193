// Whole lanes out of owned parts.
#pragma once

#include <ATen/core/Tensor.h>

#include "comm/communicator.h"
#include "zero/lane_store.h"

namespace deepspeed::zero {

/// The whole lane of something of which every rank has its owned part (master, a moment, a reduced gradient): a new
/// tensor, or `owned` itself where every rank has the whole. Collective.
at::Tensor gather_lane(const LaneStore& store, const LaneBuffers& lane, const at::Tensor& owned,
                       comm::Communicator& data, const comm::Tag& tag);

/// The elements of one parameter that this rank owns, in the parameter's own row-major order: a part of the lane's
/// shard, empty where another rank owns them all.
plan::Range owned_elements(const LaneBuffers& lane, const plan::Range& parameter_range);

/// The same elements in `owned` (same kind of tensor as above): a flat view.
at::Tensor owned_view(const LaneBuffers& lane, const plan::Range& parameter_range, const at::Tensor& owned);

/// Copies the part of a whole parameter that this rank owns into `owned`.
void cut_into_owned(const LaneBuffers& lane, const plan::Range& parameter_range, const at::Tensor& value,
                    const at::Tensor& owned);

}  // namespace deepspeed::zero
