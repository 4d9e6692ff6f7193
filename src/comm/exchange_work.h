// The work of one launch of an exchange.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "comm/wait_watch.h"
#include "comm/work.h"
#include "core/trace.h"

namespace deepspeed::comm {

/// Who waits in it is entered in the ledger of its exchange, which it may outlive.
class ExchangeWork final : public WorkState {
 public:
  ExchangeWork(std::string what, std::shared_ptr<WaitLedger> ledger)
      : what_(std::move(what)), ledger_(std::move(ledger)) {}

  const std::string& what() const { return what_; }
  /// How many launches there were with this one; before it is handed out.
  void set_number(int64_t number) { number_ = number; }

  void wait() override {
    std::unique_lock lock(mutex_);
    if (!done_) {
      const WaitLedger::Waiting waiting(*ledger_, number_, what_);
      changed_.wait(lock, [&] { return done_; });
    }
    if (error_) std::rethrow_exception(error_);
  }
  bool is_done() override {
    const std::lock_guard lock(mutex_);
    return done_;
  }
  std::optional<int64_t> done_at_ns() override {
    const std::lock_guard lock(mutex_);
    return done_ ? std::optional(done_at_ns_) : std::nullopt;
  }
  void finish(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    done_at_ns_ = core::steady_now_ns();
    done_ = true;
    error_ = std::move(error);
    changed_.notify_all();
  }

 private:
  const std::string what_;
  const std::shared_ptr<WaitLedger> ledger_;
  int64_t number_ = 0;

  std::mutex mutex_;  // guards the next ones
  std::condition_variable changed_;
  bool done_ = false;
  int64_t done_at_ns_ = 0;
  std::exception_ptr error_;
};

}  // namespace deepspeed::comm
