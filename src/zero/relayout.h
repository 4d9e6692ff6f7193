// Moving values between two layouts of the same parameters: after parameters were frozen or unfrozen.
#pragma once

#include "comm/communicator.h"
#include "zero/lane_store.h"

namespace deepspeed::zero {

/// Copies parameters, master weights and optimizer state of `from` into `to`, unit by unit: one unit is whole in memory
/// at a time. Both stores hold the same parameter list, cut into the same units with other lanes. What only `to` has
/// (the state of a newly trainable parameter) starts at its initial value, its master at the parameter's value.
/// Afterwards the parameters' data lie in `to`. Collective.
void relayout(LaneStore& from, LaneStore& to, comm::Communicator& data);

}  // namespace deepspeed::zero
