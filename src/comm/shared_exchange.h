// Collectives for CPU ranks of one host over memory that they share (transport/exchange.h).
#pragma once

#include <memory>
#include <string>

#include <c10/util/intrusive_ptr.h>

#include "comm/communicator.h"

namespace c10d {
class ProcessGroup;
}

namespace deepspeed::comm {

struct SharedPlace {
  std::string token;  ///< of letters and digits, at most 64: the ranks agree on it, and no other group has it
  int rank = 0;
  int size = 1;
};

/// Collective over the ranks of `group` that are on this host and name the same token. Waits in it are under watch
/// (wait_watch.h) as waits in `group`. Sums are made in the lanes' type, of 16-bit lanes in float32, whatever travels.
/// Throws CommError or IoError where memory cannot be shared.
std::unique_ptr<Communicator> make_shared_exchange(c10::intrusive_ptr<c10d::ProcessGroup> group,
                                                   const SharedPlace& place);

}  // namespace deepspeed::comm
