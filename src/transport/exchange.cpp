// Launching, driving and failing.
#include "transport/exchange.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "deepspeed/error.h"

namespace deepspeed::transport {
namespace {

// How long a waiting thread looks again and again before it sleeps: a little longer than waking one takes.
constexpr auto kSpin = std::chrono::microseconds(40);

// The most that a sleeper oversleeps what no bell tells: that a rank has ended.
constexpr auto kSleep = std::chrono::milliseconds(50);

// So long nobody who drives goes without a look.
constexpr auto kPause = std::chrono::seconds(2);

// Longer times than this are for ever: a clock's nanoseconds have no room for the longest that callers may name.
constexpr auto kForEver = std::chrono::hours(24 * 365 * 100);

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

int64_t bytes_sent(const std::vector<Sending>& sendings) {
  int64_t bytes = 0;
  for (const Sending& sending : sendings) {
    for (const Source& source : sending.sources) bytes += source.numel * element_bytes(sending.element);
  }
  return bytes;
}

size_t pieces_sent(const std::vector<Sending>& sendings) {
  size_t pieces = 0;
  for (const Sending& sending : sendings) pieces += sending.sources.size();
  return pieces;
}

/// In bytes, and in pieces, all of which must fit a queue beside those of the operation before.
bool is_small(const Operation& operation) {
  int64_t bytes = bytes_sent(operation.contributions) + bytes_sent(operation.copies);
  size_t pieces = pieces_sent(operation.contributions) + pieces_sent(operation.copies) + operation.folds.size();
  for (const auto& arrivals : operation.arrivals) {
    for (const Arrival& arrival : arrivals) bytes += arrival.bytes;
    pieces += arrivals.size();
  }
  for (const Fold& fold : operation.folds) bytes += fold.numel * element_bytes(fold.wire);
  for (const LocalCopy& copy : operation.local_copies) bytes += copy.bytes;
  return bytes <= kSmallBytes && pieces <= Queue::kEntries / 4;
}

}  // namespace

Exchange::Exchange(const HostGroupOptions& group, const Options& options)
    : timeout_(std::min<std::chrono::seconds>(options.timeout, kForEver)),
      group_(std::make_shared<HostGroup>(group)),
      blocks_(std::make_shared<SharedBlocks>(group_)),
      may_spin_(static_cast<unsigned>(group.size) <= std::thread::hardware_concurrency()),
      outbox_(*group_, *blocks_),
      run_(*group_, outbox_),
      messages_(*group_),
      worker_([this] { work(); }) {}

Exchange::~Exchange() {
  if (group_->is_forked()) {
    worker_.detach();  // it is the parent's, and waits on this:
    static_cast<void>(changed_.release());
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_worker();
  worker_.join();
  std::vector<Finished> finished;  // receives for which nothing came
  messages_.fail(std::make_exception_ptr(CommError("[transport.exchange] the group has ended before a message came")),
                 finished);
  finish(finished);
  group_->leave();  // blocks may keep it for long, and nobody may wait for this rank meanwhile
}

void Exchange::check_process() const {
  DS_CHECK(!group_->is_forked(), CommError, "[transport.exchange] this process was forked after its process group was ",
           "made. Use the group only in the process that made it.");
}

/// Finished at once, with the error after which nothing is launched any more.
Exchange::Handle Exchange::refused() {
  auto pending = std::make_shared<Pending>();
  std::exception_ptr error;
  {
    const std::lock_guard lock(mutex_);
    error = error_;
  }
  pending->finish(error);
  return pending;
}

Exchange::Handle Exchange::launch(Operation operation) {
  check_process();
  if (broken_) return refused();
  auto pending = std::make_shared<Pending>();
  const bool small = is_small(operation);
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({std::move(operation), pending});
  }
  if (small) {
    advance_at_once();
  } else {
    wake_worker();
  }
  return pending;
}

Exchange::Handle Exchange::send(Send send) {
  check_process();
  if (broken_) return refused();
  auto pending = std::make_shared<Pending>();
  {
    const std::lock_guard drive(drive_mutex_);
    messages_.add(std::move(send), pending);
    moved_at_ = Clock::now();
  }
  advance_at_once();
  return pending;
}

Exchange::Handle Exchange::receive(Receive receive) {
  check_process();
  if (broken_) return refused();
  auto pending = std::make_shared<Pending>();
  {
    const std::lock_guard drive(drive_mutex_);
    messages_.add(std::move(receive), pending);
    moved_at_ = Clock::now();
  }
  wake_worker();
  return pending;
}

void Exchange::wake_worker() {
  {
    const std::lock_guard lock(mutex_);
    worker_wanted_ = true;
  }
  changed_->notify_all();
  own_control().bell.ring();  // it may sleep there, blocked in something before
}

/// Sends small things without a change of threads. What then is left to do is to receive: that can wait until somebody
/// waits for it, since nobody else needs it: small things are never read in place.
void Exchange::advance_at_once() {
  std::vector<Finished> finished;
  bool is_released = false;
  {
    const std::unique_lock drive(drive_mutex_, std::try_to_lock);
    if (drive) {
      while (step_or_break(finished)) {
      }
      const std::lock_guard lock(mutex_);
      is_released = queue_.empty() && messages_.is_idle() && (!running_ || run_.is_released());
    }
  }
  finish(finished);
  if (!is_released) wake_worker();
}

void Exchange::work() {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      changed_->wait(lock, [&] { return stopping_ || (worker_wanted_ && waiters_ == 0); });
      worker_wanted_ = false;
    }
    drive([&] { return waiters_ > 0 || is_idle(); }, false);
    const std::lock_guard lock(mutex_);
    if (stopping_ && queue_.empty() && waiters_ == 0) return;
  }
}

void Exchange::wait(Pending& pending) {
  wait_for(pending, std::chrono::milliseconds::max());
  if (const std::exception_ptr error = pending.error()) std::rethrow_exception(error);
}

bool Exchange::wait_for(Pending& pending, std::chrono::milliseconds most) {
  if (pending.is_finished()) return true;
  check_process();
  const bool is_bounded = most < kForEver;
  const auto deadline = is_bounded ? Clock::now() + most : Clock::time_point::max();
  ++waiters_;
  drive([&] { return pending.is_finished() || (is_bounded && Clock::now() >= deadline); }, may_spin_);
  --waiters_;
  bool is_left = false;
  {
    const std::lock_guard drive(drive_mutex_);
    const std::lock_guard lock(mutex_);
    is_left = running_ || !queue_.empty() || !messages_.is_idle();
  }
  if (is_left) wake_worker();
  return pending.is_finished();
}

bool Exchange::is_finished(Pending& pending) {
  if (pending.is_finished() || group_->is_forked()) return pending.is_finished();
  std::vector<Finished> finished;
  {
    const std::unique_lock drive(drive_mutex_, std::try_to_lock);
    if (drive && !step_or_break(finished)) look_after_peers(finished);  // else whoever drives does
  }
  finish(finished);
  return pending.is_finished();
}

void Exchange::notify_when_finished(Pending& pending, Pending::Callback callback) {
  pending.on_finish(std::move(callback));
  if (!pending.is_finished()) wake_worker();
}

template <class Until>
void Exchange::drive(const Until& until, bool spins) {
  std::vector<Finished> finished;
  std::unique_lock drive(drive_mutex_);
  auto idle_since = Clock::now();
  auto last_look = idle_since;
  while (true) {
    const bool moved = step_or_break(finished);
    if (!finished.empty()) {
      drive.unlock();
      finish(finished);
      drive.lock();
    }
    if (until()) return;
    if (moved) {
      idle_since = moved_at_;
      continue;
    }
    if (spins && Clock::now() - idle_since < kSpin) {
      pause_briefly();
      continue;
    }
    forgive_pause(last_look);
    own_control().wants_space.store(1, std::memory_order_seq_cst);
    const uint32_t seen = own_control().bell.peek();
    if (!step_or_break(finished) && finished.empty() && !until() && !look_after_peers(finished)) {
      drive.unlock();
      own_control().bell.wait(seen, kSleep);
      drive.lock();
    }
    own_control().wants_space.store(0, std::memory_order_seq_cst);
  }
}

/// Under drive_mutex_: moves what can be moved.
bool Exchange::step(std::vector<Finished>& finished) {
  bool moved = begin_next();
  if (running_) {
    if (run_.advance()) {
      moved = true;
      run_moved_at_ = Clock::now();
    }
    if (run_.is_done()) {
      Handle pending = std::move(running_->pending);
      running_.reset();  // lets the buffers go
      finished.push_back({std::move(pending), nullptr});
      moved = true;
    }
  }
  moved |= messages_.advance(finished);
  if (moved) moved_at_ = Clock::now();
  return moved;
}

bool Exchange::step_or_break(std::vector<Finished>& finished) {
  if (!broken_) {
    try {
      return step(finished);
    } catch (const CommError& error) {
      break_with(std::make_exception_ptr(
          CommError(concat("[transport] rank ", group_->rank(), " of ", group_->size(), ": ", error.what()))));
    } catch (...) {
      break_with(std::current_exception());
    }
  }
  clean(finished);
  return false;
}

bool Exchange::begin_next() {
  if (running_) return false;
  {
    const std::lock_guard lock(mutex_);
    if (queue_.empty()) return false;
    running_ = std::move(queue_.front());
    queue_.pop_front();
  }
  group_->follow_notices();
  run_.begin(next_number_++, running_->operation);
  run_moved_at_ = Clock::now();
  return true;
}

bool Exchange::is_idle() {
  const std::lock_guard lock(mutex_);
  return broken_ || (!running_ && queue_.empty() && !(stopping_ ? messages_.is_sending() : !messages_.is_idle()));
}

bool Exchange::waits_for(int peer) { return (running_ && run_.waits_for(peer)) || messages_.waits_for(peer); }

/// Why nothing more is to be expected of `peer`; empty: something is.
std::string Exchange::why_gone(int peer) {
  const auto now = Clock::now();
  const Control& control = group_->control(peer);
  switch (control.presence.load(std::memory_order_acquire)) {
    case Presence::kFailed:
      return concat("rank ", peer, " failed: ", control.reason);
    case Presence::kLeft:
      return concat("rank ", peer, " has left the group");
    case Presence::kThere:
      break;
  }
  if (now - moved_at_ > kSleep && !group_->is_alive(peer)) return concat("rank ", peer, " has ended");
  const bool is_late = running_ && run_.waits_for(peer) && now - run_moved_at_ > timeout_;
  const bool is_last = is_stopping() && messages_.waits_for(peer) && now - moved_at_ > timeout_;  // no wait bounds it
  if (is_late || is_last) return concat("rank ", peer, " did not come within ", timeout_.count(), " s");
  return "";
}

bool Exchange::is_stopping() {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

/// Under drive_mutex_: who drives comes here every kSleep. After a much longer pause this process was stopped (Ctrl-Z),
/// and so, probably, were the others: their time begins again.
void Exchange::forgive_pause(Clock::time_point& last) {
  const auto now = Clock::now();
  if (now - std::exchange(last, now) > kPause) run_moved_at_ = now;
}

/// Under drive_mutex_, where nothing can be moved: breaks off if that is because a rank is gone, or, for a receive from
/// anyone, because all are. Whether anything has changed.
bool Exchange::look_after_peers(std::vector<Finished>& finished) {
  int num_gone = 0;
  for (int peer = 0; peer < group_->size(); ++peer) {
    if (peer == group_->rank() || broken_ || !(waits_for(peer) || messages_.waits_for_anyone())) continue;
    const std::string reason = why_gone(peer);
    if (reason.empty()) continue;
    ++num_gone;
    if (!waits_for(peer) && num_gone < group_->size() - 1) continue;
    if (step_or_break(finished)) return true;  // it sent what was missing, and then went
    const std::string what = running_ ? running_->operation.line : "a message";
    break_with(std::make_exception_ptr(CommError(
        concat("[transport] rank ", group_->rank(), " of ", group_->size(), ": ", what, " failed: ", reason))));
  }
  return broken_;
}

void Exchange::break_with(std::exception_ptr error) {
  std::string reason;
  {
    const std::lock_guard lock(mutex_);
    if (broken_) return;
    error_ = error;
    broken_ = true;
  }
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    reason = exception.what();
  } catch (...) {
    reason = "unknown";
  }
  Control& control = own_control();
  const size_t length = std::min(reason.size(), sizeof(control.reason) - 1);
  std::memcpy(control.reason, reason.data(), length);
  control.reason[length] = '\0';
  control.presence.store(Presence::kFailed, std::memory_order_release);
  for (int rank = 0; rank < group_->size(); ++rank) group_->control(rank).bell.ring();
}

/// Under drive_mutex_: everything that was launched has failed.
void Exchange::clean(std::vector<Finished>& finished) {
  std::deque<Launched> launched;
  std::exception_ptr error;
  {
    const std::lock_guard lock(mutex_);
    launched.swap(queue_);
    error = error_;
  }
  if (running_) launched.push_front(std::move(*running_));
  running_.reset();
  for (Launched& each : launched) {
    each.operation = {};
    finished.push_back({std::move(each.pending), error});
  }
  messages_.fail(error, finished);
}

void Exchange::finish(std::vector<Finished>& finished) {
  if (finished.empty()) return;
  for (Finished& each : finished) each.pending->finish(each.error);
  finished.clear();
  if (waiters_ > 0) own_control().bell.ring();
}

void Exchange::fail(const std::string& reason) {
  if (group_->is_forked()) return;
  break_with(std::make_exception_ptr(CommError(reason)));
  std::vector<Finished> finished;
  {
    const std::lock_guard drive(drive_mutex_);
    clean(finished);
  }
  finish(finished);
}

}  // namespace deepspeed::transport
