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

/// Copies the part of a whole parameter that this rank owns into `owned` (same kind of tensor as above).
void cut_into_owned(const LaneBuffers& lane, const plan::Range& parameter_range, const at::Tensor& value,
                    const at::Tensor& owned);

}  // namespace deepspeed::zero
