#include "plan/reduction_order.h"

#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::plan {
namespace {

TEST(ReductionOrder, ReversesFirstUsesThenAppendsUnseenUnits) {
  EXPECT_EQ(reduction_order({0, 2, 2, 3, 0}, 6), (std::vector<int>{3, 2, 0, 5, 4, 1}));
  EXPECT_EQ(reduction_order({}, 3), (std::vector<int>{2, 1, 0}));
}

TEST(ReductionOrder, RefusesUnknownUnits) { EXPECT_THROW(reduction_order({3}, 3), ValueError); }

}  // namespace
}  // namespace deepspeed::plan
