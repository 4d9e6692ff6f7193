// Greedy balancing.
#include "plan/owners.h"

#include <algorithm>
#include <numeric>

namespace deepspeed::plan {

std::vector<int> assign_owners(const std::vector<int64_t>& numels, int world) {
  std::vector<int> by_size(numels.size());
  std::iota(by_size.begin(), by_size.end(), 0);
  std::stable_sort(by_size.begin(), by_size.end(), [&](int a, int b) { return numels[a] > numels[b]; });
  std::vector<int64_t> load(world, 0);
  std::vector<int> owners(numels.size(), 0);
  for (const int index : by_size) {
    const auto rank = static_cast<int>(std::min_element(load.begin(), load.end()) - load.begin());
    owners[index] = rank;
    load[rank] += numels[index];
  }
  return owners;
}

}  // namespace deepspeed::plan
