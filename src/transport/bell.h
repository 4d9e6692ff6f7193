// A bell in shared memory, which any process rings and the threads of one wait for (futex).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace deepspeed::transport {

/// Waiting: value = peek(); look whether there is work; if not, wait(value). A ring after peek() ends the wait.
class Bell {
 public:
  uint32_t peek() const { return count_.load(std::memory_order_seq_cst); }

  /// Costs no system call while nobody waits.
  void ring();

  /// Until a ring after peek() gave `seen`, or for `most`; may also return early.
  void wait(uint32_t seen, std::chrono::microseconds most);

 private:
  std::atomic<uint32_t> count_{0};
  std::atomic<uint32_t> waiting_{0};
};

static_assert(std::atomic<uint32_t>::is_always_lock_free && sizeof(Bell) == 8);

}  // namespace deepspeed::transport
