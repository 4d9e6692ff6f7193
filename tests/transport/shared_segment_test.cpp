#include "transport/shared_segment.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/time.h>

namespace deepspeed::transport {
namespace {

/// Signals as a profiler or ended children of a data loader send them, every 2 ms of this process.
class Signals {
 public:
  Signals() {
    struct sigaction handler {};
    handler.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &handler, &before_);
    const itimerval every{.it_interval = {.tv_usec = 2000}, .it_value = {.tv_usec = 2000}};
    ::setitimer(ITIMER_REAL, &every, nullptr);
  }
  ~Signals() {
    const itimerval never{};
    ::setitimer(ITIMER_REAL, &never, nullptr);
    ::sigaction(SIGALRM, &before_, nullptr);
  }

 private:
  struct sigaction before_ {};
};

// Kernels before 6.13 give up an allocation at any signal.
TEST(SharedSegment, IsMadeThoughSignalsInterruptTheKernel) {
  constexpr int64_t kBytes = int64_t{512} << 20;
  const Signals signals;
  const SharedSegment segment = SharedSegment::create(kBytes);
  EXPECT_EQ(segment.data()[0], std::byte{0});
  EXPECT_EQ(segment.data()[kBytes - 1], std::byte{0});
}

}  // namespace
}  // namespace deepspeed::transport
