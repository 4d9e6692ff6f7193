// Collectives for CPU ranks of several hosts: over shared memory inside each host, over messages between them. Each
// rank speaks with the ranks of its local number on the other hosts, so that a host's network carries each element
// once, and all its ranks share the work.
#pragma once

#include <functional>
#include <memory>

#include "comm/communicator.h"
#include "comm/host_map.h"

namespace deepspeed::comm {

/// `local` is over the ranks of this host in ascending order, `across` over the ranks with this one's local number, by
/// host; both are used by nobody else. A thread of its own carries launches out in order; the destructor finishes them.
std::unique_ptr<Communicator> make_hierarchical(const HostMap& hosts, int rank, std::unique_ptr<Communicator> local,
                                                std::unique_ptr<Communicator> across);

}  // namespace deepspeed::comm
