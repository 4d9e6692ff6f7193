// The choice between transports.
#include "comm/factory.h"

#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <utility>

#include "comm/direct_exchange.h"
#include "comm/native_collectives.h"

namespace deepspeed::comm {

std::unique_ptr<Communicator> make_communicator(c10::intrusive_ptr<c10d::ProcessGroup> group, c10::Device device) {
  if (!group || group->getSize() == 1) return std::make_unique<SingleRank>(device);
  if (device.is_cpu()) return make_direct_exchange(std::move(group));
  return make_native_collectives(std::move(group), device);
}

}  // namespace deepspeed::comm
