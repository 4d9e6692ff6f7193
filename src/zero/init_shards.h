// Sharding while a model is built (deepspeed.zero.Init): each parameter becomes a unit of its own as soon as its module
// exists, so that no rank ever holds more than its shards and one module. An engine that takes such parameters over
// reads them through the touch of its own set-up, unit by unit, and cuts them anew.
#pragma once

#include <memory>
#include <vector>

#include "comm/communicator.h"
#include "zero/binder.h"
#include "zero/lane_store.h"

namespace deepspeed::zero {

class InitShards {
 public:
  /// `compute_dtype`: what parameters are cast to; nothing: they keep theirs. Both communicators are its own.
  InitShards(std::unique_ptr<comm::Communicator> data, std::unique_ptr<comm::Communicator> gathers,
             std::optional<core::Dtype> compute_dtype, c10::Device device);

  /// Takes rank 0's values of ordinary parameters and keeps this rank's shards. Collective.
  void add(const std::vector<tensor::NamedParameter>& parameters);

  /// The same of parameters whose values come later; of what they hold only the shape counts. Not collective. Requires
  /// more than one rank.
  void add_without_values(const std::vector<tensor::NamedParameter>& parameters);

  /// Frees the shards of parameters that an engine took over. Returns how many it still keeps.
  int64_t sweep();

 private:
  std::vector<plan::Unit> lay_out(const std::vector<tensor::NamedParameter>& parameters);

  std::unique_ptr<comm::Communicator> data_;
  std::unique_ptr<comm::Communicator> gathers_;
  std::vector<plan::ParameterInfo> infos_;
  LaneStore store_;
  std::shared_ptr<Binder> binder_;
};

}  // namespace deepspeed::zero
