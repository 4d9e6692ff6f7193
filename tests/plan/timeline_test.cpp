#include "plan/timeline.h"

#include <gtest/gtest.h>

namespace deepspeed::plan {
namespace {

using Traffic = Timeline::Traffic;

TEST(Timeline, ComputingHidesWhatTravels) {
  Timeline timeline({});
  const int gather = timeline.launch(Traffic::kGathers, {.latency_s = 1, .transfer_s = 2});
  timeline.compute(5);
  timeline.wait_for(gather);
  EXPECT_DOUBLE_EQ(timeline.now_s(), 5);
  EXPECT_DOUBLE_EQ(timeline.waited_s(), 0);
}

TEST(Timeline, WhatIsNotHiddenIsWaitedFor) {
  Timeline timeline({});
  const int gather = timeline.launch(Traffic::kGathers, {.latency_s = 1, .transfer_s = 6});
  timeline.compute(5);
  timeline.wait_for(gather);
  EXPECT_DOUBLE_EQ(timeline.now_s(), 7);
  EXPECT_DOUBLE_EQ(timeline.waited_s(), 2);
}

TEST(Timeline, TheSameTrafficTravelsOneAfterTheOther) {
  Timeline timeline({});
  timeline.launch(Traffic::kReductions, {.latency_s = 1, .transfer_s = 2});
  timeline.wait_for(timeline.launch(Traffic::kReductions, {.latency_s = 1, .transfer_s = 2}));
  EXPECT_DOUBLE_EQ(timeline.now_s(), 6);
}

TEST(Timeline, GathersAndReductionsShareTheLinks) {
  // Both move at half speed until the shorter is done at 4; the longer has 4 left.
  Timeline timeline({});
  const int gather = timeline.launch(Traffic::kGathers, {.transfer_s = 2});
  const int reduction = timeline.launch(Traffic::kReductions, {.transfer_s = 6});
  timeline.wait_for(gather);
  EXPECT_DOUBLE_EQ(timeline.now_s(), 4);
  timeline.wait_for(reduction);
  EXPECT_DOUBLE_EQ(timeline.now_s(), 8);
}

TEST(Timeline, ALatencyMovesNothingAndSharesNothing) {
  Timeline timeline({.compute = 0.5, .transfer = 0.5});
  const int gather = timeline.launch(Traffic::kGathers, {.latency_s = 3});
  timeline.compute(3);
  timeline.wait_for(gather);
  EXPECT_DOUBLE_EQ(timeline.now_s(), 3);
}

TEST(Timeline, TwoThreadsOnOneCoreHideNothing) {
  Timeline timeline({.compute = 0.5, .transfer = 0.5});
  const int gather = timeline.launch(Traffic::kGathers, {.transfer_s = 2});
  timeline.compute(4);  // to 4 at half speed, then the rest of 2 alone
  EXPECT_DOUBLE_EQ(timeline.now_s(), 6);
  timeline.wait_for(gather);
  EXPECT_DOUBLE_EQ(timeline.now_s(), 6);
  EXPECT_DOUBLE_EQ(timeline.computed_s(), 4);
}

TEST(Timeline, WhatCostsNothingHasArrivedAtOnce) {
  Timeline timeline({});
  timeline.wait_for(timeline.launch(Traffic::kReductions, {}));
  timeline.launch(Traffic::kReductions, {.transfer_s = 1});
  timeline.wait_for(timeline.launch(Traffic::kReductions, {}));
  EXPECT_DOUBLE_EQ(timeline.now_s(), 1);
}

TEST(Timeline, BytesAddUp) {
  Timeline timeline({});
  timeline.launch(Traffic::kReductions, {.sent_rank_bytes = 3, .sent_host_bytes = 4});
  timeline.launch(Traffic::kGathers, {.sent_rank_bytes = 30, .sent_host_bytes = 40});
  EXPECT_DOUBLE_EQ(timeline.sent_rank_bytes(), 33);
  EXPECT_DOUBLE_EQ(timeline.sent_host_bytes(), 44);
  EXPECT_EQ(timeline.num_collectives(), 2);
}

}  // namespace
}  // namespace deepspeed::plan
