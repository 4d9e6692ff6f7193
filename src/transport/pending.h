// Something that was launched in an Exchange.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <vector>

namespace deepspeed::transport {

/// Any thread. Once it is done the exchange holds none of the buffers.
class Pending {
 public:
  using Callback = std::function<void(std::exception_ptr)>;

  bool is_finished() const { return finished_.load(std::memory_order_acquire); }

  /// Null unless it failed; once it is finished.
  std::exception_ptr error() const {
    const std::lock_guard lock(mutex_);
    return error_;
  }

  /// By the steady clock, in nanoseconds; once it is finished.
  int64_t finished_at_ns() const { return finished_at_ns_; }

  /// Called once, by whoever finishes it, or here where it is finished.
  void on_finish(Callback callback) {
    {
      const std::lock_guard lock(mutex_);
      if (!is_finished()) {
        callbacks_.push_back(std::move(callback));
        return;
      }
    }
    callback(error_);
  }

  void finish(std::exception_ptr error) {
    std::vector<Callback> callbacks;
    {
      const std::lock_guard lock(mutex_);
      if (is_finished()) return;
      error_ = error;
      finished_at_ns_ = std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
      callbacks.swap(callbacks_);
      finished_.store(true, std::memory_order_release);
    }
    for (const Callback& callback : callbacks) callback(error);
  }

  int source = -1;  ///< of a receive: whose message it was, once it is finished

 private:
  mutable std::mutex mutex_;
  std::atomic<bool> finished_{false};
  std::exception_ptr error_;
  int64_t finished_at_ns_ = 0;  // written before finished_
  std::vector<Callback> callbacks_;
};

}  // namespace deepspeed::transport
