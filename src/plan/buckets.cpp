// Greedy grouping in the agreed order.
#include "plan/buckets.h"

#include <algorithm>

namespace deepspeed::plan {

int64_t bucket_capacity(int64_t bucket_size, int64_t largest_unit) {
  return std::min({bucket_size, kCoalescedNumel, largest_unit});
}

std::vector<std::vector<int>> cut_buckets(const std::vector<int>& order, const std::vector<int64_t>& unit_numel,
                                          int64_t capacity) {
  std::vector<std::vector<int>> buckets;
  int64_t filled = capacity;
  for (const int unit : order) {
    const int64_t numel = unit_numel[unit];
    if (numel == 0) continue;
    if (buckets.empty() || numel > capacity - filled) {
      buckets.emplace_back();
      filled = 0;
    }
    buckets.back().push_back(unit);
    filled += numel;
  }
  return buckets;
}

}  // namespace deepspeed::plan
