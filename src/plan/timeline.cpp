// Between two events all rates are constant, so time goes from event to event.
#include "plan/timeline.h"

#include <algorithm>
#include <limits>

#include "deepspeed/error.h"

namespace deepspeed::plan {
namespace {

// What is left below this is rounding.
constexpr double kNothing_s = 1e-15;

}  // namespace

int Timeline::launch(Traffic traffic, const CollectiveCost& cost) {
  const int collective = static_cast<int>(done_.size());
  const bool free = cost.total_s() <= kNothing_s && queues_[static_cast<size_t>(traffic)].empty();
  done_.push_back(free);
  sent_rank_bytes_ += cost.sent_rank_bytes;
  sent_host_bytes_ += cost.sent_host_bytes;
  if (!free) queues_[static_cast<size_t>(traffic)].push_back({collective, cost.latency_s, cost.transfer_s});
  return collective;
}

double Timeline::transfer_rate(bool computing) const {
  const auto moves = [](const auto& queue) { return !queue.empty() && queue.front().latency_s <= kNothing_s; };
  const auto num_moving = std::count_if(queues_.begin(), queues_.end(), moves);
  return num_moving == 0 ? 0.0 : (computing ? 1.0 - contention_.transfer : 1.0) / static_cast<double>(num_moving);
}

double Timeline::until_next_event(bool computing) const {
  const double rate = transfer_rate(computing);
  double nearest = std::numeric_limits<double>::infinity();
  for (const auto& queue : queues_) {
    if (queue.empty()) continue;
    const Travelling& front = queue.front();
    nearest = std::min(nearest, front.latency_s > kNothing_s ? front.latency_s : front.transfer_s / rate);
  }
  return nearest;
}

void Timeline::advance(double seconds, bool computing) {
  const double rate = transfer_rate(computing);
  now_s_ += seconds;
  for (auto& queue : queues_) {
    if (queue.empty()) continue;
    Travelling& front = queue.front();
    if (front.latency_s > kNothing_s) {
      front.latency_s -= seconds;
    } else {
      front.transfer_s -= seconds * rate;
    }
    while (!queue.empty() && queue.front().latency_s <= kNothing_s && queue.front().transfer_s <= kNothing_s) {
      done_[queue.front().collective] = true;
      queue.pop_front();
    }
  }
}

void Timeline::compute(double seconds) {
  computed_s_ += seconds;
  while (seconds > kNothing_s) {
    const double rate = transfer_rate(true) > 0 ? 1.0 - contention_.compute : 1.0;
    const double step_s = std::min(seconds / rate, until_next_event(true));
    advance(step_s, true);
    seconds -= step_s * rate;
  }
}

void Timeline::wait_for(int collective) {
  const double begin_s = now_s_;
  while (!done_[collective]) {
    const double step_s = until_next_event(false);
    DS_INTERNAL_CHECK(step_s < std::numeric_limits<double>::infinity(), "collective ", collective, " never travels");
    advance(step_s, false);
  }
  waited_s_ += now_s_ - begin_s;
}

}  // namespace deepspeed::plan
