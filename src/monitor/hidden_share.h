// How much of the communication went on while training did: a pure function of intervals.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace deepspeed::monitor {

/// Nanoseconds, [begin, end).
struct Interval {
  int64_t begin_ns = 0;
  int64_t end_ns = 0;
  bool operator==(const Interval&) const = default;
};

/// The same points without overlaps, in order; empty intervals are left out.
std::vector<Interval> merge(std::vector<Interval> intervals);

int64_t total_ns(const std::vector<Interval>& merged);

/// The points in both; both merged.
std::vector<Interval> intersect(const std::vector<Interval>& a, const std::vector<Interval>& b);

/// Time that collectives were on their way, and how much of it some training thread waited for one of them.
struct Communication {
  int64_t in_flight_ns = 0;
  int64_t waited_ns = 0;

  /// 1 - waited / in flight; nothing where nothing was on its way.
  std::optional<double> hidden_share() const;
};

/// Collectives that travel at the same time count once, as do threads that wait at the same time; waits count where
/// something was on its way.
Communication measure(std::vector<Interval> collectives, std::vector<Interval> waits);

}  // namespace deepspeed::monitor
