// Where processes publish what they wait in: keys of the c10d stores that the groups were made over. Nothing is sent
// before a process has waited for long. A store that fails is left alone from then on: that its host died is for others
// to say.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <c10/util/intrusive_ptr.h>

#include "comm/wait_graph.h"

namespace c10d {
class ProcessGroup;
class Store;
}  // namespace c10d

namespace deepspeed::comm {

/// The store behind all prefixes, which groups of one job share; null where the group has none.
c10::intrusive_ptr<c10d::Store> shared_store(const c10d::ProcessGroup& group);

/// A name that the ranks of `group` agree on and that no other group has, not even one of an earlier attempt of the
/// job. Empty where its store fails. A message to the store, which does not wait for other ranks.
std::string agreed_name(const c10d::ProcessGroup& group);

/// For one thread. No call waits for other ranks.
class WaitBoard {
 public:
  /// The stores to use from now on; those that stay keep their connection.
  void use(const std::vector<c10::intrusive_ptr<c10d::Store>>& stores);

  /// Replaces what this process published.
  void publish(const WaitState& state);
  void take_back();

  /// What rank `rank` of `group` publishes now.
  std::optional<WaitState> find(const std::string& group, int rank);

  /// Grows whenever a process publishes.
  int64_t changes();

 private:
  struct Connection {
    c10::intrusive_ptr<c10d::Store> origin;
    c10::intrusive_ptr<c10d::Store> own;  ///< null before its first use
    bool failed = false;
  };

  template <class Action>
  void on_each(const Action& action);

  std::vector<Connection> connections_;
  std::vector<std::string> keys_;  ///< that hold this process's state
};

}  // namespace deepspeed::comm
