#include "plan/buckets.h"

#include <gtest/gtest.h>

namespace deepspeed::plan {
namespace {

using Buckets = std::vector<std::vector<int>>;

TEST(Buckets, FillUpInOrderAndNeverSplitAUnit) {
  EXPECT_EQ(cut_buckets({3, 2, 1, 0}, {4, 10, 3, 3}, 6), (Buckets{{3, 2}, {1}, {0}}));
  EXPECT_EQ(cut_buckets({0, 1, 2}, {2, 2, 2}, 4), (Buckets{{0, 1}, {2}}));
}

TEST(Buckets, LeaveOutUnitsWithoutElements) {
  EXPECT_EQ(cut_buckets({2, 1, 0}, {3, 0, 3}, 6), (Buckets{{2, 0}}));
  EXPECT_EQ(cut_buckets({0}, {0}, 6), Buckets{});
  EXPECT_EQ(cut_buckets({}, {}, 0), Buckets{});
}

TEST(Buckets, ATinyCapacityPutsEveryUnitAlone) { EXPECT_EQ(cut_buckets({1, 0}, {5, 5}, 1), (Buckets{{1}, {0}})); }

TEST(Buckets, CapacityIsTheSmallestOfTheThreeLimits) {
  EXPECT_EQ(bucket_capacity(500, 1'000), 500);
  EXPECT_EQ(bucket_capacity(500'000'000, 1'000), 1'000);
  EXPECT_EQ(bucket_capacity(500'000'000, 500'000'000), kCoalescedNumel);
}

}  // namespace
}  // namespace deepspeed::plan
