// Descriptors in the launcher's event loops and what to do when they are ready.
#pragma once

#include <chrono>
#include <functional>
#include <vector>

namespace deepspeed::launcher {

struct Watch {
  int fd = -1;
  short events = 0;             ///< as in poll()
  std::function<void()> ready;  ///< called when any of them, an error or a hang-up is there
};

/// Waits for any of them, or until `wake_at` (max(): without end), and calls what is ready, in order.
void wait_for(const std::vector<Watch>& watches, std::chrono::steady_clock::time_point wake_at);

}  // namespace deepspeed::launcher
