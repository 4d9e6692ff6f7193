// The store, and a group over it.
#include "comm/rendezvous.h"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <chrono>

#include "deepspeed/error.h"

namespace deepspeed::comm {

c10::intrusive_ptr<c10d::ProcessGroup> make_process_group(const core::RankEnvironment& ranks, const std::string& name,
                                                          c10::Device device) {
  if (ranks.world_size == 1) return {};
  DS_CHECK(device.is_cpu(), NotSupported, "[comm.rendezvous] process groups on ", device.str(),
           " are made by Python's torch.distributed today; C++ programs train on CPU ranks");
  const int64_t timeout_seconds = core::collective_timeout_seconds();
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(ranks.master_port);
  options.isServer = ranks.rank == 0;
  options.numWorkers = static_cast<size_t>(ranks.world_size);
  options.timeout = std::chrono::seconds(timeout_seconds);
  options.multiTenant = true;
  try {
    const auto store = c10::make_intrusive<c10d::TCPStore>(ranks.master_addr, options);
    const auto scoped = c10::make_intrusive<c10d::PrefixStore>("deepspeed/" + name, store);
    return make_gloo_group(scoped, ranks.rank, ranks.world_size, timeout_seconds);
  } catch (const std::exception& error) {
    throw CommError(concat("[comm.rendezvous] rank ", ranks.rank, " of ", ranks.world_size, " could not join at ",
                           ranks.master_addr, ":", ranks.master_port, ": ", error.what(),
                           ". Start all ranks with the `deepspeed` command, or set MASTER_ADDR and MASTER_PORT."));
  }
}

}  // namespace deepspeed::comm
