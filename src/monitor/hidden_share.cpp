// Unions of intervals, and their lengths.
#include "monitor/hidden_share.h"

#include <algorithm>
#include <utility>

namespace deepspeed::monitor {

std::vector<Interval> merge(std::vector<Interval> intervals) {
  std::erase_if(intervals, [](const Interval& each) { return each.end_ns <= each.begin_ns; });
  std::sort(intervals.begin(), intervals.end(),
            [](const Interval& a, const Interval& b) { return a.begin_ns < b.begin_ns; });
  std::vector<Interval> merged;
  for (const Interval& each : intervals) {
    if (!merged.empty() && each.begin_ns <= merged.back().end_ns) {
      merged.back().end_ns = std::max(merged.back().end_ns, each.end_ns);
    } else {
      merged.push_back(each);
    }
  }
  return merged;
}

int64_t total_ns(const std::vector<Interval>& merged) {
  int64_t total = 0;
  for (const Interval& each : merged) total += each.end_ns - each.begin_ns;
  return total;
}

std::vector<Interval> intersect(const std::vector<Interval>& a, const std::vector<Interval>& b) {
  std::vector<Interval> both;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const Interval common{std::max(a[i].begin_ns, b[j].begin_ns), std::min(a[i].end_ns, b[j].end_ns)};
    if (common.begin_ns < common.end_ns) both.push_back(common);
    a[i].end_ns < b[j].end_ns ? ++i : ++j;
  }
  return both;
}

std::optional<double> Communication::hidden_share() const {
  if (in_flight_ns == 0) return std::nullopt;
  return 1.0 - static_cast<double>(waited_ns) / static_cast<double>(in_flight_ns);
}

Communication measure(std::vector<Interval> collectives, std::vector<Interval> waits) {
  const std::vector<Interval> in_flight = merge(std::move(collectives));
  return {total_ns(in_flight), total_ns(intersect(in_flight, merge(std::move(waits))))};
}

}  // namespace deepspeed::monitor
