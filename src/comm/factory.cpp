// The choice between transports. Ranks agree on it by messages over the group, which every group has.
#include "comm/factory.h"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <optional>
#include <utility>
#include <vector>

#include "comm/direct_exchange.h"
#include "comm/hierarchical.h"
#include "comm/host_map.h"
#include "comm/native_collectives.h"
#include "comm/rendezvous.h"
#include "comm/shared_exchange.h"
#include "core/environment.h"
#include "core/log.h"
#include "deepspeed/error.h"
#include "transport/host_group.h"

namespace deepspeed::comm {
namespace {

constexpr Tag kMeeting{.step = 0, .phase = Phase::kSetup, .unit = -1, .name = "the ranks of each host"};

/// The ranks of this one's host, sharing memory; null, on all ranks, where that failed on any of them.
std::unique_ptr<Communicator> try_sharing(const c10::intrusive_ptr<c10d::ProcessGroup>& group, const HostMap& hosts,
                                          const std::string& name, Communicator& messages) {
  const int rank = group->getRank();
  const int host = hosts.host_of(rank);
  std::unique_ptr<Communicator> shared;
  std::string failure;
  try {
    shared = make_shared_exchange(
        group, {.token = concat(name, "h", host), .rank = hosts.local_rank_of(rank), .size = hosts.ranks_per_host()});
  } catch (const Error& error) {
    failure = error.what();
  }
  const std::vector<std::string> failures = messages.all_gather_strings(failure, kMeeting);
  for (size_t each = 0; each < failures.size(); ++each) {
    if (failures[each].empty()) continue;
    if (rank == 0) {
      core::log_warning("[comm] ranks exchange messages, which is slower, since memory cannot be shared on rank ", each,
                        ": ", failures[each]);
    }
    return nullptr;
  }
  return shared;
}

/// The ranks with this one's local number.
std::unique_ptr<Communicator> make_across(c10d::ProcessGroup& group, const HostMap& hosts, const std::string& name) {
  const int rank = group.getRank();
  const std::string prefix = concat("deepspeed/", name, "/", hosts.local_rank_of(rank));
  const auto store = c10::make_intrusive<c10d::PrefixStore>(prefix, group.getStore());
  return make_direct_exchange(
      make_gloo_group(store, hosts.host_of(rank), hosts.num_hosts(), core::collective_timeout_seconds()));
}

std::unique_ptr<Communicator> make_for_cpu(const c10::intrusive_ptr<c10d::ProcessGroup>& group,
                                           const std::string& host) {
  std::unique_ptr<Communicator> messages = make_direct_exchange(group);
  const std::string name = messages->broadcast_string(transport::random_token(), 0, kMeeting);
  const auto hosts = HostMap::from_names(messages->all_gather_strings(host, kMeeting));
  if (!hosts || hosts->ranks_per_host() <= 1) return messages;
  std::unique_ptr<Communicator> shared = try_sharing(group, *hosts, name, *messages);
  if (!shared) return messages;
  if (hosts->num_hosts() == 1) return shared;
  return make_hierarchical(*hosts, group->getRank(), std::move(shared), make_across(*group, *hosts, name));
}

}  // namespace

std::unique_ptr<Communicator> make_communicator(c10::intrusive_ptr<c10d::ProcessGroup> group, c10::Device device,
                                                const std::string& host) {
  if (!group || group->getSize() == 1) return std::make_unique<SingleRank>(device);
  if (device.is_cpu()) return make_for_cpu(std::move(group), host);
  return make_native_collectives(std::move(group), device);
}

}  // namespace deepspeed::comm
