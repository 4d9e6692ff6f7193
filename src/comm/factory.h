// Chooses the communicator for a process group and a device.
#pragma once

#include <memory>
#include <string>

#include <c10/core/Device.h>
#include <c10/util/intrusive_ptr.h>

#include "comm/communicator.h"
#include "comm/host_identity.h"

namespace c10d {
class ProcessGroup;
}

namespace deepspeed::comm {

/// Collective. A null group or one of a single rank needs no transport. CPU ranks of one host share memory; those of
/// several hosts do so inside each of them where all have equally many ranks, and exchange messages between them. Where
/// memory cannot be shared, all exchange messages, and a warning says why. Others use the backend's own collectives.
/// `host` names this rank's host (host_identity.h).
std::unique_ptr<Communicator> make_communicator(c10::intrusive_ptr<c10d::ProcessGroup> group, c10::Device device,
                                                const std::string& host = host_identity());

}  // namespace deepspeed::comm
