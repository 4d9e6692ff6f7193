#include "monitor/hidden_share.h"

#include <gtest/gtest.h>

namespace deepspeed::monitor {
namespace {

using Intervals = std::vector<Interval>;

TEST(HiddenShare, MergingLeavesNoOverlapAndNothingEmpty) {
  EXPECT_EQ(merge({{5, 9}, {0, 3}, {2, 4}, {7, 7}, {9, 10}, {20, 15}}), (Intervals{{0, 4}, {5, 10}}));
  EXPECT_EQ(merge({}), Intervals{});
}

TEST(HiddenShare, AnIntersectionHasThePointsInBoth) {
  EXPECT_EQ(intersect({{0, 10}, {20, 30}}, {{5, 25}, {28, 40}}), (Intervals{{5, 10}, {20, 25}, {28, 30}}));
  EXPECT_EQ(intersect({{0, 5}}, {{5, 9}}), Intervals{});
}

TEST(HiddenShare, WhatNobodyWaitsForIsHidden) {
  EXPECT_DOUBLE_EQ(measure({{0, 10}, {10, 20}}, {}).hidden_share().value(), 1.0);
  EXPECT_DOUBLE_EQ(measure({{0, 10}}, {{0, 10}}).hidden_share().value(), 0.0);
  EXPECT_DOUBLE_EQ(measure({{0, 10}, {10, 20}}, {{15, 20}}).hidden_share().value(), 0.75);
}

TEST(HiddenShare, CollectivesThatTravelTogetherCountOnce) {
  const Communication both = measure({{0, 10}, {0, 10}, {5, 20}}, {{18, 20}});
  EXPECT_EQ(both.in_flight_ns, 20);
  EXPECT_EQ(both.waited_ns, 2);
}

TEST(HiddenShare, ThreadsThatWaitTogetherCountOnceAndOnlyWhileSomethingTravels) {
  const Communication both = measure({{0, 10}}, {{8, 12}, {9, 11}, {30, 40}});
  EXPECT_EQ(both.waited_ns, 2);
  EXPECT_DOUBLE_EQ(both.hidden_share().value(), 0.8);
}

TEST(HiddenShare, WhereNothingTravelsThereIsNoShare) { EXPECT_FALSE(measure({}, {{0, 5}}).hidden_share().has_value()); }

}  // namespace
}  // namespace deepspeed::monitor
