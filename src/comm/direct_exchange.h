// Collectives for CPU ranks over a process group's point-to-point messages (Gloo). Every rank sends each other rank the
// part that it owns and adds what it receives in rank order. On one host this moves as little as a ring does, needs no
// copy of the lane, and is several times faster than Gloo's own reduce-scatter (an all-reduce and two copies inside).
#pragma once

#include <memory>

#include <c10/util/intrusive_ptr.h>

#include "comm/communicator.h"

namespace c10d {
class ProcessGroup;
}

namespace deepspeed::comm {

/// A thread of its own posts the messages, adds and completes works in launch order; it never takes the GIL. The
/// destructor finishes what was launched. In a forked child all calls fail with CommError and the destructor waits for
/// nothing. Once a work is done, the communicator holds none of its buffers.
/// `group` must be used by nobody else: message tags are counted.
std::unique_ptr<Communicator> make_direct_exchange(c10::intrusive_ptr<c10d::ProcessGroup> group);

}  // namespace deepspeed::comm
