// A collective that was launched.
#pragma once

#include <memory>

namespace deepspeed::comm {

/// What a transport implements. wait() may be called several times and from any thread; it throws CommError with the
/// collective's tag and the reason.
class WorkState {
 public:
  virtual ~WorkState() = default;
  virtual void wait() = 0;
  virtual bool is_done() = 0;
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

 private:
  std::shared_ptr<WorkState> state_;
};

}  // namespace deepspeed::comm
