// The only file that sees Gloo's headers, which are older than the gloo inside torch: it may use no class of theirs
// beyond pointers (a test looks at the object file for emitted gloo vtables).
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <chrono>
#include <sstream>
#include <string>

#include "comm/broken_pipe.h"
#include "comm/rendezvous.h"
#include "core/environment.h"

namespace deepspeed::comm {
namespace {

// GLOO_SOCKET_IFNAME, as torch itself reads it: names of interfaces, with commas between them.
void add_devices(c10d::ProcessGroupGloo::Options& options) {
  std::istringstream names(core::environment("GLOO_SOCKET_IFNAME").value_or(""));
  for (std::string name; std::getline(names, name, ',');) {
    options.devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(name));
  }
  if (options.devices.empty()) options.devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
}

}  // namespace

c10::intrusive_ptr<c10d::Backend> make_gloo_backend(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                                                    std::chrono::milliseconds timeout) {
  const BrokenPipeIsAnError guard;  // for the threads that start here
  const auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  add_devices(*options);
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options);
}

c10::intrusive_ptr<c10d::ProcessGroup> make_gloo_group(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                                                       int64_t timeout_seconds) {
  const auto gloo = make_gloo_backend(store, rank, size, std::chrono::seconds(timeout_seconds));
  auto group = c10::make_intrusive<c10d::ProcessGroup>(store, rank, size);
  group->setBackend(c10::DeviceType::CPU, c10d::ProcessGroup::BackendType::GLOO, gloo);
  group->setDefaultBackend(c10d::ProcessGroup::BackendType::GLOO);
  return group;
}

}  // namespace deepspeed::comm
