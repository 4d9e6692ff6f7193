// Work that every rank does for itself, on files say: where one fails, all do, so that none waits for it afterwards.
#pragma once

#include <exception>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "deepspeed/error.h"

namespace deepspeed::engine {

/// Runs `action` on this rank; where it throws on any, throws Failure with that rank's message on all. `where`
/// begins the message. Collective.
template <class Failure = CheckpointError, class Action>
void fail_together(comm::Communicator& ranks, const comm::Tag& tag, const char* where, const Action& action) {
  std::string error;
  try {
    action();
  } catch (const std::exception& caught) {
    error = caught.what();
  }
  const std::vector<std::string> errors = ranks.all_gather_strings(error, tag);
  for (size_t rank = 0; rank < errors.size(); ++rank) {
    if (!errors[rank].empty()) throw Failure(concat(where, "rank ", rank, ": ", errors[rank]));
  }
}

}  // namespace deepspeed::engine
