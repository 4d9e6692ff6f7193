// The system call behind it. Sequential consistency lets each side see the other's last write: the ringer counts and
// then looks for waiters, the waiter enters itself and then looks at the count (in the kernel).
#include "transport/bell.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>

namespace deepspeed::transport {
namespace {

// Not FUTEX_PRIVATE_FLAG: other processes ring.
void futex(std::atomic<uint32_t>* word, int operation, uint32_t value, const timespec* most) {
  ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), operation, value, most, nullptr, 0);
}

}  // namespace

void Bell::ring() {
  count_.fetch_add(1, std::memory_order_seq_cst);
  if (waiting_.load(std::memory_order_seq_cst) != 0) futex(&count_, FUTEX_WAKE, INT_MAX, nullptr);
}

void Bell::wait(uint32_t seen, std::chrono::microseconds most) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(most);
  const timespec time{.tv_sec = static_cast<time_t>(seconds.count()),
                      .tv_nsec = static_cast<long>((most - seconds).count()) * 1000};
  waiting_.fetch_add(1, std::memory_order_seq_cst);
  futex(&count_, FUTEX_WAIT, seen, &time);
  waiting_.fetch_sub(1, std::memory_order_seq_cst);
}

}  // namespace deepspeed::transport
