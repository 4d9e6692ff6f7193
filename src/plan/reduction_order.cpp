// Reversing the first forward.
#include "plan/reduction_order.h"

#include <algorithm>

#include "deepspeed/error.h"

namespace deepspeed::plan {

std::vector<int> reduction_order(const std::vector<int>& first_uses, int num_units) {
  std::vector<bool> seen(num_units, false);
  std::vector<int> order;
  order.reserve(num_units);
  for (const int unit : first_uses) {
    DS_CHECK(unit >= 0 && unit < num_units, ValueError, "[plan.reduction_order] unit index: got ", unit,
             ", expected 0 to ", num_units - 1);
    if (!seen[unit]) order.push_back(unit);
    seen[unit] = true;
  }
  std::reverse(order.begin(), order.end());
  for (int unit = num_units - 1; unit >= 0; --unit) {
    if (!seen[unit]) order.push_back(unit);
  }
  return order;
}

}  // namespace deepspeed::plan
