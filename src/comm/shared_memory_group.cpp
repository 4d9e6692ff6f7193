// The ranks agree through the group's store.
#include "comm/shared_memory_group.h"

#include <c10/util/intrusive_ptr.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <algorithm>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "comm/factory.h"
#include "comm/host_map.h"
#include "comm/rendezvous.h"
#include "comm/several_hosts_backend.h"
#include "comm/shared_memory_backend.h"
#include "core/environment.h"
#include "core/log.h"
#include "deepspeed/detail/shared_memory_backend.h"
#include "deepspeed/error.h"
#include "transport/exchange.h"

namespace deepspeed::comm {
namespace {

constexpr char kShared[] = "shared";

using StorePtr = c10::intrusive_ptr<c10d::Store>;

struct Member {
  StorePtr store;
  int rank;
  int size;
  std::chrono::milliseconds timeout;
  std::string host;
};

/// Every rank's text, which is not empty, in rank order.
std::vector<std::string> exchange_texts(const Member& member, const std::string& what, const std::string& text) {
  member.store->set(concat(what, "/", member.rank), text);
  std::vector<std::string> texts;
  texts.reserve(member.size);
  for (int rank = 0; rank < member.size; ++rank) texts.push_back(member.store->get_to_str(concat(what, "/", rank)));
  return texts;
}

/// A store may be used again for a group that is made anew: each time has keys of its own.
StorePtr store_of_this_time(const Member& member) {
  const int64_t time = member.store->add(concat("times/", member.rank), 1);
  return c10::make_intrusive<c10d::PrefixStore>(concat("time", time), member.store);
}

/// Null, on all ranks, where that failed on any of them; then `reason` says on which, and why.
std::unique_ptr<transport::Exchange> try_sharing(const Member& member, const std::string& token, std::string& reason) {
  std::unique_ptr<transport::Exchange> exchange;
  std::string failure = kShared;
  try {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(member.timeout);
    exchange = std::make_unique<transport::Exchange>(
        transport::HostGroupOptions{.token = token, .rank = member.rank, .size = member.size},
        transport::Exchange::Options{.timeout = seconds});
  } catch (const Error& error) {
    failure = error.what();
  }
  const std::vector<std::string> failures = exchange_texts(member, "made", failure);
  for (size_t rank = 0; rank < failures.size(); ++rank) {
    if (failures[rank] == kShared) continue;
    reason = concat("memory cannot be shared on rank ", rank, ": ", failures[rank]);
    return nullptr;
  }
  return exchange;
}

c10::intrusive_ptr<c10d::Backend> make_gloo(const Member& member) {
  const auto store = c10::make_intrusive<c10d::PrefixStore>("gloo", member.store);
  auto gloo = make_gloo_backend(store, member.rank, member.size, member.timeout);
  gloo->setSequenceNumberForGroup();
  return gloo;
}

c10::intrusive_ptr<c10d::Backend> make_for_one_host(const Member& member, const std::string& token) {
  std::string reason;
  auto exchange = try_sharing(member, token, reason);
  if (!exchange) {
    if (member.rank == 0) core::log_warning("[comm.shm] ranks talk over Gloo, which is slower: ", reason);
    return make_gloo(member);
  }
  return c10::make_intrusive<SharedMemoryBackend>(std::move(exchange), member.timeout);
}

c10::intrusive_ptr<c10d::Backend> make_for_several_hosts(const Member& member) {
  const auto store = c10::make_intrusive<c10d::PrefixStore>("hosts", member.store);
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(member.timeout);
  auto communicator =
      make_communicator(make_gloo_group(store, member.rank, member.size, seconds.count()), at::kCPU, member.host);
  return c10::make_intrusive<SeveralHostsBackend>(std::move(communicator), make_gloo(member), member.timeout);
}

c10::intrusive_ptr<c10d::Backend> make_backend(const Member& member) {
  // A token has no space in it.
  const std::string own = concat(transport::random_token(), " ", member.host);
  const std::vector<std::string> all = exchange_texts(member, "host", own);
  std::vector<std::string> names;
  names.reserve(all.size());
  for (const std::string& text : all) names.push_back(text.substr(text.find(' ') + 1));
  const auto hosts = HostMap::from_names(names);
  if (hosts && hosts->num_hosts() == 1) return make_for_one_host(member, all[0].substr(0, all[0].find(' ')));
  if (hosts && hosts->ranks_per_host() > 1) return make_for_several_hosts(member);
  if (member.rank == 0) {
    core::log_info("[comm.shm] Gloo: ",
                   !hosts ? "a rank must not share memory" : "the hosts have one rank each, or not equally many");
  }
  return make_gloo(member);
}

}  // namespace

c10::intrusive_ptr<c10d::Backend> make_shared_memory_group(const c10::intrusive_ptr<c10d::Store>& store, int rank,
                                                           int size, std::chrono::milliseconds timeout,
                                                           const std::string& host) {
  Member member{.store = store, .rank = rank, .size = size, .timeout = timeout, .host = host};
  try {
    member.store = store_of_this_time(member);
    return make_backend(member);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw CommError(concat("[comm.shm] rank ", rank, " of ", size, " could not meet the others: ", error.what()));
  }
}

}  // namespace deepspeed::comm

namespace deepspeed::detail {

c10::intrusive_ptr<c10d::Backend> make_shared_memory_backend(const c10::intrusive_ptr<c10d::Store>& store, int rank,
                                                             int size, std::chrono::milliseconds timeout) {
  return comm::make_shared_memory_group(store, rank, size, timeout);
}

bool uses_shared_memory() { return core::uses_shared_memory(); }

}  // namespace deepspeed::detail
