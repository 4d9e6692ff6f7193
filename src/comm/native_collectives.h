// Collectives that the backend has itself (NCCL on GPUs).
#pragma once

#include <memory>

#include <c10/core/Device.h>
#include <c10/util/intrusive_ptr.h>

#include "comm/communicator.h"

namespace c10d {
class ProcessGroup;
}

namespace deepspeed::comm {

std::unique_ptr<Communicator> make_native_collectives(c10::intrusive_ptr<c10d::ProcessGroup> group, c10::Device device);

}  // namespace deepspeed::comm
