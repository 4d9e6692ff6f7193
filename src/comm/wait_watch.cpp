// The thread, and what it does every tick. It and its locks are never destroyed: at the end of a program it may sit in
// a store that does not answer.
#include "comm/wait_watch.h"

#include <pthread.h>
#include <unistd.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <random>
#include <thread>
#include <utility>

#include "comm/broken_pipe.h"
#include "comm/script_probe.h"
#include "comm/wait_board.h"
#include "comm/wait_graph.h"
#include "core/log.h"
#include "deepspeed/detail/script_probe.h"
#include "deepspeed/error.h"

namespace deepspeed::comm {
namespace {

using Clock = WaitLedger::Clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kTick{250};
constexpr seconds kPublishAfter{1};
constexpr seconds kConfirmAfter{1};  // a ring is believed when it is seen again after this
constexpr seconds kGrace{1};         // for the others of a ring to see it too, before an error ends this process
constexpr seconds kFirstNote{30};
constexpr seconds kNextNote{60};  // after the first; then twice as long each time
constexpr seconds kStopTimeout{1};

std::atomic<bool (*)()> may_look{nullptr};

int this_thread() { return static_cast<int>(::gettid()); }

/// What one thread of this process has waited in for long.
struct LongWait {
  std::shared_ptr<WaitLedger> ledger;  ///< null: outside
  int thread = 0;
  Clock::time_point since;
  bool may_look = false;
  Wait wait;

  int64_t serial() const { return since.time_since_epoch().count(); }
};

struct Member {
  std::string group;
  int rank = 0;
  int size = 1;
  c10::intrusive_ptr<c10d::Store> store;
  std::shared_ptr<WaitLedger> ledger;
  WatchedGroup::Actions actions;
};

/// One search for a ring through this process's present wait, from its publication to its end.
struct Search {
  LongWait cause;
  WaitState mine;
  int64_t changes = -1;  ///< of the board, when it was read last
  std::vector<RingLink> ring;
  Clock::time_point ring_since;
  std::optional<Clock::time_point> confirmed_at;
  bool is_over = false;
  Clock::time_point next_note;
  Clock::duration note_interval = kNextNote;
};

class WaitWatch {
 public:
  static WaitWatch& instance() {
    static WaitWatch& watch = *new WaitWatch;
    return watch;
  }

  void add(Member member) {
    if (::getpid() != pid_) return;
    const std::lock_guard lock(mutex_);
    members_.push_back(std::move(member));
    if (!is_running_) start();
  }

  void remove(const WaitLedger* ledger) {
    if (::getpid() != pid_) return;
    const std::lock_guard lock(mutex_);
    std::erase_if(members_, [&](const Member& member) { return member.ledger.get() == ledger; });
  }

  void set_probe(detail::ScriptProbe probe) {
    if (::getpid() != pid_) return;
    may_look = probe.may_look;
    script_.set(std::move(probe));
  }

  void stop() {
    if (::getpid() != pid_) return;
    may_look = nullptr;
    script_.clear();
    std::unique_lock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
    changed_.wait_for(lock, kStopTimeout, [&] { return !is_running_; });
  }

 private:
  WaitWatch() : pid_(::getpid()), process_(make_name()) {}

  static std::string make_name() {
    std::random_device random;
    return concat(::getpid(), "-", random(), "-", random());
  }

  /// Under the lock.
  void start() {
    if (stopping_) return;
    is_running_ = true;
    std::thread([this] { run(); }).detach();
    [[maybe_unused]] static const int registered = std::atexit([] { detail::stop_wait_watch(); });
  }

  void run() {
    const BrokenPipeIsAnError guard;
    ::pthread_setname_np(::pthread_self(), "wait watch");
    WaitBoard board;
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      lock.unlock();
      tick(board);
      lock.lock();
      changed_.wait_for(lock, kTick, [&] { return stopping_; });
    }
    lock.unlock();
    if (search_) end_search(board);
    lock.lock();
    is_running_ = false;
    changed_.notify_all();
  }

  void tick(WaitBoard& board) {
    const Clock::time_point now = Clock::now();
    const std::optional<LongWait> wait = longest_wait(now);
    if (search_ && (!wait || wait->serial() != search_->cause.serial())) end_search(board);
    if (!wait) return;
    if (!search_) begin_search(*wait, board);
    if (!search_->is_over) look_for_ring(now, board);
    if (!search_->is_over) note_absence(now, board);
  }

  std::vector<Member> members() {
    const std::lock_guard lock(mutex_);
    return members_;
  }

  std::optional<LongWait> longest_wait(Clock::time_point now) {
    const std::vector<Member> members = this->members();
    std::optional<LongWait> longest;
    for (const Member& member : members) {
      const std::optional<WaitLedger::Longest> found = member.ledger->longest_wait();
      if (!found || now - found->entry.since < kPublishAfter) continue;
      if (longest && longest->since <= found->entry.since) continue;
      longest = LongWait{.ledger = member.ledger,
                         .thread = found->entry.thread,
                         .since = found->entry.since,
                         .may_look = found->entry.may_look,
                         .wait = {.group = member.group, .number = found->entry.number, .what = found->what}};
    }
    const auto is_ours = [&](int thread) {
      return std::any_of(members.begin(), members.end(),
                         [&](const Member& member) { return member.ledger->has_wait_of(thread); });
    };
    const std::optional<Wait> outside = script_.look_outside(is_ours);
    if (outside != outside_) outside_since_ = now;
    outside_ = outside;
    if (longest || !outside) return longest;
    return LongWait{.ledger = {}, .thread = script_.thread(), .since = outside_since_, .wait = *outside};
  }

  /// Of the groups in which `thread` launches: only there does its wait keep this process from launching more.
  std::vector<GroupPosition> positions(int thread) {
    std::vector<GroupPosition> positions;
    for (const Member& member : members()) {
      const WaitLedger::Position position = member.ledger->position();
      if (position.launcher == thread) positions.push_back({member.group, member.rank, member.size, position.launched});
    }
    if (const auto outside = script_.position(thread)) positions.push_back(*outside);
    return positions;
  }

  void begin_search(const LongWait& cause, WaitBoard& board) {
    std::vector<c10::intrusive_ptr<c10d::Store>> stores;
    for (const Member& member : members()) stores.push_back(member.store);
    if (const auto store = script_.store()) stores.push_back(store);
    board.use(stores);
    search_ = Search{.cause = cause, .mine = {}, .ring = {}, .ring_since = {}, .confirmed_at = {}};
    search_->next_note = cause.since + kFirstNote;
    WaitState& mine = search_->mine;
    mine = {.process = process_, .serial = cause.serial(), .wait = cause.wait, .positions = positions(cause.thread)};
    if (cause.may_look) {
      if (const std::string line = script_.line_of(cause.thread); !line.empty())
        mine.wait.what += concat(" (", line, ")");
    }
    board.publish(mine);
  }

  void end_search(WaitBoard& board) {
    if (search_->confirmed_at && !search_->is_over) {
      with_cause([](const WatchedGroup::Actions& actions) { actions.foresee(""); });
    }
    board.take_back();
    board.use({});  // stores of groups that ended must not live on here
    search_.reset();
  }

  void look_for_ring(Clock::time_point now, WaitBoard& board) {
    Search& search = *search_;
    const int64_t changes = board.changes();
    if (search.ring.empty() && changes == search.changes) return;
    search.changes = changes;
    const FindState find = [&](const std::string& group, int rank) { return board.find(group, rank); };
    std::vector<RingLink> ring = find_ring(search.mine, find);
    const bool all_know =
        std::all_of(ring.begin(), ring.end(), [](const RingLink& link) { return link.state.confirmed; });
    if (search.confirmed_at) {
      if ((ring.empty() || !all_know) && now - *search.confirmed_at < kGrace) return;
      search.is_over = true;
      return with_cause([](const WatchedGroup::Actions& actions) { actions.break_off(); });
    }
    const auto is_same = [](const RingLink& a, const RingLink& b) { return a.state.is_same_wait(b.state); };
    if (!std::equal(ring.begin(), ring.end(), search.ring.begin(), search.ring.end(), is_same)) search.ring_since = now;
    search.ring = std::move(ring);
    if (search.ring.empty()) return;
    const bool one_knows =
        std::any_of(search.ring.begin(), search.ring.end(), [](const RingLink& link) { return link.state.confirmed; });
    if (!one_knows && now - search.ring_since < kConfirmAfter) return;
    confirm(now, board);
  }

  void confirm(Clock::time_point now, WaitBoard& board) {
    const std::string text = concat("[comm] ", describe_ring(search_->mine, search_->ring));
    if (search_->cause.ledger) {
      with_cause([&](const WatchedGroup::Actions& actions) { actions.foresee(text); });
    } else {  // the library's wait cannot be ended
      core::log(core::LogLevel::kError, text);
      search_->is_over = true;
    }
    search_->mine.confirmed = true;
    search_->confirmed_at = now;
    board.publish(search_->mine);
  }

  template <class Action>
  void with_cause(const Action& action) {
    const std::lock_guard lock(mutex_);
    for (const Member& member : members_) {
      if (member.ledger == search_->cause.ledger) action(member.actions);
    }
  }

  void note_absence(Clock::time_point now, WaitBoard& board) {
    Search& search = *search_;
    if (!search.cause.ledger || now < search.next_note) return;
    search.next_note = now + search.note_interval;
    search.note_interval *= 2;
    const std::vector<AbsentRank> absent =
        absent_ranks(search.mine, [&](const std::string& group, int rank) { return board.find(group, rank); });
    if (absent.empty()) return;  // all have come: the values are on their way
    const GroupPosition* own = search.mine.position(search.mine.wait.group);
    const auto absent_below =
        std::count_if(absent.begin(), absent.end(), [&](const AbsentRank& each) { return each.rank < own->rank; });
    if (absent_below != own->rank) return;  // the lowest of those who wait speaks for them
    const auto waited = std::chrono::duration_cast<seconds>(now - search.cause.since);
    core::log_warning("[comm] ", describe_absence(search.mine, absent, waited.count()));
  }

  const int pid_;
  const std::string process_;
  ScriptWatch script_;

  std::mutex mutex_;  // guards the next four
  std::condition_variable changed_;
  std::vector<Member> members_;
  bool is_running_ = false;
  bool stopping_ = false;

  std::optional<Search> search_;  // the thread's, as are the next two
  std::optional<Wait> outside_;
  Clock::time_point outside_since_;
};

}  // namespace

WaitLedger::WaitLedger() { position_.launcher = this_thread(); }

int64_t WaitLedger::note_launch() {
  const std::lock_guard lock(mutex_);
  position_.launcher = this_thread();
  return ++position_.launched;
}

WaitLedger::Position WaitLedger::position() const {
  const std::lock_guard lock(mutex_);
  return position_;
}

std::optional<WaitLedger::Longest> WaitLedger::longest_wait() const {
  const std::lock_guard lock(mutex_);
  const auto longest =
      std::min_element(waits_.begin(), waits_.end(), [](const Entry& a, const Entry& b) { return a.since < b.since; });
  if (longest == waits_.end()) return std::nullopt;
  return Longest{*longest, *longest->what};
}

bool WaitLedger::has_wait_of(int thread) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(waits_.begin(), waits_.end(), [&](const Entry& entry) { return entry.thread == thread; });
}

WaitLedger::Waiting::Waiting(WaitLedger& ledger, int64_t number, const std::string& what)
    : ledger_(ledger), thread_(this_thread()) {
  bool (*const may)() = may_look;
  const Entry entry{
      .thread = thread_, .number = number, .since = Clock::now(), .may_look = may != nullptr && may(), .what = &what};
  const std::lock_guard lock(ledger_.mutex_);
  ledger_.waits_.push_back(entry);
}

WaitLedger::Waiting::~Waiting() {
  const std::lock_guard lock(ledger_.mutex_);
  std::erase_if(ledger_.waits_, [&](const Entry& entry) { return entry.thread == thread_; });
}

WatchedGroup::WatchedGroup(const c10d::ProcessGroup& group, Actions actions) : ledger_(std::make_shared<WaitLedger>()) {
  const std::string name = agreed_name(group);
  if (name.empty()) return;
  WaitWatch::instance().add({.group = name,
                             .rank = group.getRank(),
                             .size = group.getSize(),
                             .store = shared_store(group),
                             .ledger = ledger_,
                             .actions = std::move(actions)});
}

WatchedGroup::~WatchedGroup() { WaitWatch::instance().remove(ledger_.get()); }

}  // namespace deepspeed::comm

namespace deepspeed::detail {

void set_script_probe(ScriptProbe probe) { comm::WaitWatch::instance().set_probe(std::move(probe)); }

void stop_wait_watch() { comm::WaitWatch::instance().stop(); }

}  // namespace deepspeed::detail
