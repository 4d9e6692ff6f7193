// Finds out that this process waits for ranks that will never come, because they wait for it elsewhere. One thread a
// process looks four times a second at what the program's threads wait in; it sends nothing until one has waited for a
// second. Then it publishes that (wait_board.h), looks for a ring (wait_graph.h), and, where the same ring stands a
// second later, breaks the exchange off, so that the wait throws CommError with both sides.
// In a forked child it does nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <c10/util/intrusive_ptr.h>

namespace c10d {
class ProcessGroup;
}

namespace deepspeed::comm {

/// What threads of this process wait for in one group, and how far it has come there. Shared by an exchange, its works
/// and the watch. Any thread.
class WaitLedger {
 public:
  using Clock = std::chrono::steady_clock;

  struct Entry {
    int thread = 0;      ///< the kernel's number
    int64_t number = 0;  ///< the wait needs this many launches of every rank
    Clock::time_point since;
    bool may_look = false;              ///< whether the script's place can be looked up meanwhile
    const std::string* what = nullptr;  ///< of the work; not for use outside this class
  };
  struct Longest {
    Entry entry;
    std::string what;
  };
  struct Position {
    int64_t launched = 0;
    int launcher = 0;  ///< the thread that launched last; at first the one that made the group
  };

  WaitLedger();

  /// Counts a launch by the calling thread; returns how many there were with it.
  int64_t note_launch();
  Position position() const;
  std::optional<Longest> longest_wait() const;
  bool has_wait_of(int thread) const;

  /// While it lives, the calling thread waits for launch `number`. `what` must outlive it.
  class Waiting {
   public:
    Waiting(WaitLedger& ledger, int64_t number, const std::string& what);
    ~Waiting();
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

   private:
    WaitLedger& ledger_;
    const int thread_;
  };

 private:
  mutable std::mutex mutex_;
  Position position_;
  std::vector<Entry> waits_;
};

/// A group under watch for as long as it lives. A group whose store fails is not watched.
class WatchedGroup {
 public:
  /// Called on the watch's thread, never after the destructor.
  struct Actions {
    /// The group's waits cannot end, for this reason: any failure from now on has it too, such as that a rank ended
    /// which found out first. Empty: they can again.
    std::function<void(const std::string& reason)> foresee;
    /// Makes all waits throw CommError with the reason.
    std::function<void()> break_off;
  };

  WatchedGroup(const c10d::ProcessGroup& group, Actions actions);
  ~WatchedGroup();
  WatchedGroup(const WatchedGroup&) = delete;
  WatchedGroup& operator=(const WatchedGroup&) = delete;

  const std::shared_ptr<WaitLedger>& ledger() const { return ledger_; }

 private:
  const std::shared_ptr<WaitLedger> ledger_;
};

}  // namespace deepspeed::comm
