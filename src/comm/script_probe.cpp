// Asking the front end, and counting the other library's collectives.
#include "comm/script_probe.h"

#include <pthread.h>
#include <unistd.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <exception>
#include <utility>

#include "comm/wait_board.h"
#include "deepspeed/error.h"

namespace deepspeed::comm {
namespace {

// A thread that used less than this of its processor between two calls sleeps; it has slept long after so many.
constexpr int64_t kIdleNanoseconds = 5'000'000;
constexpr int kIdleCalls = 3;

}  // namespace

void ScriptWatch::set(detail::ScriptProbe probe) {
  const std::string group = probe.world ? agreed_name(*probe.world) : "";
  clockid_t clock{};
  if (group.empty() || ::pthread_getcpuclockid(::pthread_self(), &clock) != 0) return clear();
  const std::lock_guard lock(mutex_);
  installed_ = Installed{.world = c10::weak_intrusive_ptr<c10d::ProcessGroup>(probe.world),
                         .look = std::move(probe.look),
                         .group = group,
                         .rank = probe.world->getRank(),
                         .size = probe.world->getSize(),
                         .thread = static_cast<int>(::gettid()),
                         .clock = clock};
  idle_calls_ = 0;
}

void ScriptWatch::clear() {
  const std::lock_guard lock(mutex_);
  installed_.reset();
}

int ScriptWatch::thread() const {
  const std::lock_guard lock(mutex_);
  return installed_ ? installed_->thread : 0;
}

c10::intrusive_ptr<c10d::Store> ScriptWatch::store() const {
  const std::lock_guard lock(mutex_);
  const auto world = installed_ ? installed_->world.lock() : c10::intrusive_ptr<c10d::ProcessGroup>();
  return world ? shared_store(*world) : c10::intrusive_ptr<c10d::Store>();
}

std::string ScriptWatch::line_of(int thread) {
  const std::lock_guard lock(mutex_);
  return installed_ && installed_->thread == thread ? installed_->look().line : "";
}

bool ScriptWatch::sleeps(const Installed& installed) {
  timespec time{};
  if (::clock_gettime(installed.clock, &time) != 0) return false;  // the thread has ended
  const int64_t busy = int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  idle_calls_ = busy - std::exchange(busy_nanoseconds_, busy) < kIdleNanoseconds ? idle_calls_ + 1 : 0;
  return idle_calls_ >= kIdleCalls;
}

std::optional<Wait> ScriptWatch::look_outside(const std::function<bool(int thread)>& is_ours) {
  const std::lock_guard lock(mutex_);
  if (!installed_ || !sleeps(*installed_) || is_ours(installed_->thread)) return std::nullopt;
  const detail::ScriptPlace place = installed_->look();
  if (place.call.empty()) return std::nullopt;
  const std::optional<GroupPosition> position = position_of(*installed_);
  if (!position) return std::nullopt;
  const std::string where = place.line.empty() ? "" : concat(" (", place.line, ")");
  return Wait{.group = position->group,
              .number = position->launched,  // the one that it is in has been counted
              .root = place.root,
              .outside = true,
              .what = place.call + where};
}

std::optional<GroupPosition> ScriptWatch::position(int thread) {
  const std::lock_guard lock(mutex_);
  return installed_ && installed_->thread == thread ? position_of(*installed_) : std::nullopt;
}

std::optional<GroupPosition> ScriptWatch::position_of(const Installed& installed) const {
  const c10::intrusive_ptr<c10d::ProcessGroup> world = installed.world.lock();
  if (!world) return std::nullopt;
  try {
    return GroupPosition{.group = installed.group,
                         .rank = installed.rank,
                         .size = installed.size,
                         .launched = static_cast<int64_t>(world->getDefaultBackend()->getSequenceNumberForGroup())};
  } catch (const std::exception&) {  // a backend that does not count
    return std::nullopt;
  }
}

}  // namespace deepspeed::comm
