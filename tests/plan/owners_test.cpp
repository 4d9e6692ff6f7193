#include "plan/owners.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace deepspeed::plan {
namespace {

TEST(Owners, LoadsDifferByAtMostTheLargestParameter) {
  const std::vector<int64_t> numels = {7, 1, 12, 3, 3, 9, 0, 5};
  for (int world = 1; world <= 5; ++world) {
    std::vector<int64_t> load(world, 0);
    const auto owners = assign_owners(numels, world);
    for (size_t i = 0; i < numels.size(); ++i) load.at(owners[i]) += numels[i];
    EXPECT_LE(*std::max_element(load.begin(), load.end()) - *std::min_element(load.begin(), load.end()), 12);
  }
}

}  // namespace
}  // namespace deepspeed::plan
