// Which units go out in one collective. A bucket groups units, it never splits one.
#pragma once

#include <cstdint>
#include <vector>

namespace deepspeed::plan {

/// Grouping pays for units that are small enough for a collective's latency to matter; larger buckets would only delay
/// the first of their units. 16 MB in float32.
inline constexpr int64_t kCoalescedNumel = int64_t{1} << 22;

/// Elements that one launch holds at most (a larger unit goes out alone): the config's bucket size, the size up to
/// which grouping pays, and `largest_unit`, so that a bucket fits into the slot that the largest unit needs.
int64_t bucket_capacity(int64_t bucket_size, int64_t largest_unit);

/// Consecutive units of `order` while they fit into `capacity` elements, at least one each; units without elements are
/// left out. `unit_numel` is indexed by unit.
std::vector<std::vector<int>> cut_buckets(const std::vector<int>& order, const std::vector<int64_t>& unit_numel,
                                          int64_t capacity);

}  // namespace deepspeed::plan
