// Collectives and messages between the ranks of one host, over memory that they share.
//
// [Note: Who drives] One thread at a time moves data: a thread that waits for something moves it itself, so that a
// small collective costs no change of threads; while nobody waits a thread of the exchange does, so that large ones go
// on beside the program. Where nothing can be moved, they sleep on the rank's bell.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "transport/collective_run.h"
#include "transport/collectives.h"
#include "transport/host_group.h"
#include "transport/messages.h"
#include "transport/outbox.h"
#include "transport/pending.h"
#include "transport/shared_blocks.h"

namespace deepspeed::transport {

/// Operations are carried out in the order of their launch, which must be the same on all ranks. Any thread, one launch
/// at a time. After a failure (a rank has ended or is elsewhere) everything fails with the first error. In a forked
/// child calls throw CommError.
class Exchange {
 public:
  struct Options {
    std::chrono::seconds timeout{600};  ///< for a rank that does not come to an operation; throws CommError. The
                                        ///< greatest: for ever. Who waits for a message bounds that himself (wait_for)
  };

  /// Collective; throws as HostGroup.
  Exchange(const HostGroupOptions& group, const Options& options);

  /// Finishes what was launched and leaves the group, though its blocks may live on. In a forked child it waits for
  /// nothing.
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  Place place() const { return {.rank = group_->rank(), .size = group_->size()}; }

  using Handle = std::shared_ptr<Pending>;
  Handle launch(Operation operation);
  Handle send(Send send);
  Handle receive(Receive receive);

  /// Until it is finished; throws what it failed with.
  void wait(Pending& pending);
  /// As wait(), for at most `most`; false: it is not finished.
  bool wait_for(Pending& pending, std::chrono::milliseconds most);
  /// Looks, moves what can be moved, and fails what cannot be since a rank has ended.
  bool is_finished(Pending& pending);
  /// Someone wants to be told when it is finished, rather than to wait: the exchange's thread sees to it.
  void notify_when_finished(Pending& pending, Pending::Callback callback);

  /// Memory that the other ranks read in place (SharedBlocks).
  std::shared_ptr<std::byte> allocate(int64_t bytes) { return blocks_->allocate(bytes); }

  /// Everything launched and to be launched fails with CommError(reason), here and, unless they fail first, elsewhere.
  void fail(const std::string& reason);

 private:
  struct Launched {
    Operation operation;
    Handle pending;
  };

  void check_process() const;
  Handle refused();
  void wake_worker();
  void advance_at_once();
  void work();
  template <class Until>
  void drive(const Until& until, bool spins);
  bool step(std::vector<Finished>& finished);
  bool step_or_break(std::vector<Finished>& finished);
  bool begin_next();
  std::string why_gone(int peer);
  void forgive_pause(Clock::time_point& last);
  bool look_after_peers(std::vector<Finished>& finished);
  bool waits_for(int peer);
  bool is_idle();
  bool is_stopping();
  void break_with(std::exception_ptr error);
  void clean(std::vector<Finished>& finished);
  void finish(std::vector<Finished>& finished);
  Control& own_control() const { return group_->control(group_->rank()); }

  const std::chrono::seconds timeout_;
  const std::shared_ptr<HostGroup> group_;
  const std::shared_ptr<SharedBlocks> blocks_;
  const bool may_spin_;

  std::mutex drive_mutex_;  // guards what follows, up to the line
  Outbox outbox_;
  CollectiveRun run_;
  Messages messages_;
  std::optional<Launched> running_;
  uint64_t next_number_ = 0;
  Clock::time_point moved_at_ = Clock::now();      // anything, whoever drove
  Clock::time_point run_moved_at_ = Clock::now();  // the running operation
  // ---
  std::mutex mutex_;  // guards the next ones
  std::unique_ptr<std::condition_variable> changed_ = std::make_unique<std::condition_variable>();
  std::deque<Launched> queue_;
  bool stopping_ = false;
  bool worker_wanted_ = false;
  std::exception_ptr error_;

  std::atomic<bool> broken_{false};  // error_ is set
  std::atomic<int> waiters_{0};
  std::thread worker_;
};

}  // namespace deepspeed::transport
