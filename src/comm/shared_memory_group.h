// Chooses how the ranks of a torch.distributed group that asked for "shm" talk.
#pragma once

#include <chrono>
#include <string>

#include <c10/util/intrusive_ptr.h>

#include "comm/host_identity.h"

namespace c10d {
class Backend;
class Store;
}  // namespace c10d

namespace deepspeed::comm {

/// Collective, as detail::make_shared_memory_backend(), whose contract it keeps. `host` names this rank's host; empty:
/// it shares no memory.
c10::intrusive_ptr<c10d::Backend> make_shared_memory_group(const c10::intrusive_ptr<c10d::Store>& store, int rank,
                                                           int size, std::chrono::milliseconds timeout,
                                                           const std::string& host = host_identity());

}  // namespace deepspeed::comm
