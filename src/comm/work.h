// A collective that was launched.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

namespace deepspeed::comm {

/// What a transport implements. wait() may be called several times and from any thread; it throws CommError with the
/// collective's tag and the reason.
class WorkState {
 public:
  virtual ~WorkState() = default;
  virtual void wait() = 0;
  virtual bool is_done() = 0;
  /// By the steady clock, in nanoseconds; for timelines. Nothing: not done yet, or the transport does not know.
  virtual std::optional<int64_t> done_at_ns() { return std::nullopt; }
};

/// Copyable handle; an empty one is done. The buffers of the collective must not be touched before wait() returns (on
/// GPUs: before work queued after wait() on the current stream).
class Work {
 public:
  Work() = default;
  explicit Work(std::shared_ptr<WorkState> state) : state_(std::move(state)) {}
  void wait() {
    if (state_) state_->wait();
  }
  bool is_done() { return !state_ || state_->is_done(); }
  std::optional<int64_t> done_at_ns() { return state_ ? state_->done_at_ns() : std::nullopt; }

 private:
  std::shared_ptr<WorkState> state_;
};

}  // namespace deepspeed::comm
