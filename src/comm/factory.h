// Chooses the communicator for a process group and a device.
#pragma once

#include <memory>

#include <c10/core/Device.h>
#include <c10/util/intrusive_ptr.h>

#include "comm/communicator.h"

namespace c10d {
class ProcessGroup;
}

namespace deepspeed::comm {

/// A null group or one of a single rank needs no transport. CPU ranks exchange directly, others use the backend's own
/// collectives.
std::unique_ptr<Communicator> make_communicator(c10::intrusive_ptr<c10d::ProcessGroup> group, c10::Device device);

}  // namespace deepspeed::comm
