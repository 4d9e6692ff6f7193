// The keys. A connection of its own a store: the program's may be held by a thread that waits for a key.
#include "comm/wait_board.h"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <algorithm>
#include <exception>
#include <random>

#include "deepspeed/error.h"

namespace deepspeed::comm {
namespace {

constexpr char kNameKey[] = "deepspeed/name";
constexpr char kChanges[] = "deepspeed/waits/changes";
constexpr char kNoState[] = "-";  // a key is never deleted: get() of a missing one would wait for it

std::string key_of(const std::string& group, int rank) { return concat("deepspeed/waits/", group, "/", rank); }

}  // namespace

c10::intrusive_ptr<c10d::Store> shared_store(const c10d::ProcessGroup& group) {
  c10::intrusive_ptr<c10d::Store> store = group.getStore();
  if (auto* prefixed = dynamic_cast<c10d::PrefixStore*>(store.get())) return prefixed->getUnderlyingNonPrefixStore();
  return store;
}

std::string agreed_name(const c10d::ProcessGroup& group) {
  const c10::intrusive_ptr<c10d::Store> store = group.getStore();
  if (!store) return {};
  std::random_device random;
  try {
    return store->compareSet(kNameKey, "", concat("group-", random(), "-", random()));
  } catch (const std::exception&) {
    return {};
  }
}

void WaitBoard::use(const std::vector<c10::intrusive_ptr<c10d::Store>>& stores) {
  std::vector<Connection> connections;
  for (const auto& store : stores) {
    const auto is_it = [&](const Connection& connection) { return connection.origin == store; };
    if (std::any_of(connections.begin(), connections.end(), is_it)) continue;
    const auto known = std::find_if(connections_.begin(), connections_.end(), is_it);
    connections.push_back(known == connections_.end() ? Connection{.origin = store, .own = {}} : *known);
  }
  connections_ = std::move(connections);
}

template <class Action>
void WaitBoard::on_each(const Action& action) {
  for (Connection& connection : connections_) {
    if (connection.failed) continue;
    try {
      if (!connection.own) connection.own = connection.origin->clone();
      action(*connection.own);
    } catch (const std::exception&) {
      connection.failed = true;
    }
  }
}

void WaitBoard::publish(const WaitState& state) {
  keys_.clear();
  for (const GroupPosition& position : state.positions) keys_.push_back(key_of(position.group, position.rank));
  const std::string text = to_text(state);
  on_each([&](c10d::Store& store) {
    for (const std::string& key : keys_) store.set(key, text);
    store.add(kChanges, 1);
  });
}

void WaitBoard::take_back() {
  on_each([&](c10d::Store& store) {
    for (const std::string& key : keys_) store.set(key, std::string(kNoState));
  });
  keys_.clear();
}

std::optional<WaitState> WaitBoard::find(const std::string& group, int rank) {
  std::optional<WaitState> found;
  const std::string key = key_of(group, rank);
  on_each([&](c10d::Store& store) {
    if (!found && store.check({key})) found = parse_wait_state(store.get_to_str(key));
  });
  return found;
}

int64_t WaitBoard::changes() {
  int64_t sum = 0;
  on_each([&](c10d::Store& store) { sum += store.add(kChanges, 0); });
  return sum;
}

}  // namespace deepspeed::comm
