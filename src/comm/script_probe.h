// Asks the front end where the script is (deepspeed/detail/script_probe.h). Free of cost while the program computes:
// the thread's processor clock says when it sleeps, and only then is the front end asked.
#pragma once

#include <cstdint>
#include <ctime>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include <c10/util/intrusive_ptr.h>

#include "comm/wait_graph.h"
#include "deepspeed/detail/script_probe.h"

namespace c10d {
class ProcessGroup;
class Store;
}  // namespace c10d

namespace deepspeed::comm {

/// The installed probe. Any thread may set and clear it; the watch's thread asks.
class ScriptWatch {
 public:
  /// The calling thread is the one that is looked at.
  void set(detail::ScriptProbe probe);
  /// Once it returns no look() is on its way, and none will be.
  void clear();

  /// "train.py:57" if `thread` is the one that is looked at.
  std::string line_of(int thread);

  /// The library's collective that the thread sleeps in, if it has slept since the last three calls and sits in one.
  /// `is_ours(thread)`: it waits in a collective of ours.
  std::optional<Wait> look_outside(const std::function<bool(int thread)>& is_ours);

  /// Where `thread` is in the library's group; nothing if another thread launches there.
  std::optional<GroupPosition> position(int thread);

  int thread() const;
  /// Of the library's group; null where that has ended.
  c10::intrusive_ptr<c10d::Store> store() const;

 private:
  struct Installed {
    c10::weak_intrusive_ptr<c10d::ProcessGroup> world;
    std::function<detail::ScriptPlace()> look;
    std::string group;
    int rank;
    int size;
    int thread;
    clockid_t clock;
  };

  std::optional<GroupPosition> position_of(const Installed& installed) const;
  bool sleeps(const Installed& installed);

  mutable std::mutex mutex_;
  std::optional<Installed> installed_;
  int64_t busy_nanoseconds_ = 0;
  int idle_calls_ = 0;
};

}  // namespace deepspeed::comm
