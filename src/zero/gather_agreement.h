// Whether all ranks gathered the same parameters, on backends that do not compare before the data is used.
//
// Reductions have one agreed order and cannot differ; gathers follow what each rank's program touches. A rank that
// touches other parameters of the same sizes would mix their shards with others' and say nothing. So ranks compare
// digests of what they gathered, over the reductions' communicator: sent at one boundary step and looked at in the
// next, before weights change again, so that no rank waits for another.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "comm/communicator.h"

namespace deepspeed::zero {

class GatherAgreement {
 public:
  /// Both outlive it and have the same ranks.
  GatherAgreement(const comm::Communicator& gathers, comm::Communicator& data);
  ~GatherAgreement();

  /// At every boundary step, on all ranks. Throws CommError on every rank, with what two of them gathered, where those
  /// differed up to the boundary before. Does nothing where the gathers' backend compares by itself.
  void compare(int64_t step);

  /// Later in the same step: lets a timeline see that what compare() sent has arrived, which only a look tells where
  /// the transport does not say when. Never waits.
  void poll() { sent_.is_done(); }

 private:
  void look_at_last(int64_t step);

  const comm::Communicator& gathers_;
  comm::Communicator& data_;
  at::Tensor digests_;  // [ranks] on the control device, int64
  comm::Work sent_;
  bool has_sent_ = false;
};

}  // namespace deepspeed::zero
