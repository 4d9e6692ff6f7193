// poll().
#include "launcher/watch.h"

#include <poll.h>

#include <algorithm>
#include <cstdint>
#include <limits>

namespace deepspeed::launcher {
namespace {

using Clock = std::chrono::steady_clock;

int timeout_ms(Clock::time_point wake_at) {
  if (wake_at == Clock::time_point::max()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(wake_at - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, std::numeric_limits<int>::max()));
}

}  // namespace

void wait_for(const std::vector<Watch>& watches, Clock::time_point wake_at) {
  std::vector<pollfd> entries;
  for (const Watch& watch : watches) entries.push_back({watch.fd, watch.events, 0});
  if (::poll(entries.data(), entries.size(), timeout_ms(wake_at)) <= 0) return;
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].revents != 0) watches[i].ready();
  }
}

}  // namespace deepspeed::launcher
