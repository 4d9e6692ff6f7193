#include "zero/reduce_policy.h"

#include <gtest/gtest.h>

namespace deepspeed::zero {
namespace {

TEST(ReducePolicy, GradientsThatLiveUntilTheBoundaryWaitForIt) {
  for (const int stage : {0, 1}) {
    EXPECT_EQ(reduce_policy(plan::stage_lifetimes(stage), false, false), ReducePolicy::kKeepLocal);
    EXPECT_EQ(reduce_policy(plan::stage_lifetimes(stage), true, false), ReducePolicy::kNow);
  }
}

TEST(ReducePolicy, ShardedGradientsAreReducedInEveryMicroBatch) {
  for (const int stage : {2, 3})
    EXPECT_EQ(reduce_policy(plan::stage_lifetimes(stage), false, false), ReducePolicy::kNow);
}

TEST(ReducePolicy, NoSyncKeepsThemAtEveryStage) {
  for (const int stage : {0, 1, 2, 3})
    EXPECT_EQ(reduce_policy(plan::stage_lifetimes(stage), true, true), ReducePolicy::kKeepLocal);
}

}  // namespace
}  // namespace deepspeed::zero
