#include "comm/launch_history.h"

#include <gtest/gtest.h>

#include <string>

namespace deepspeed::comm {
namespace {

Tag gather(std::string_view name, int64_t step = 1) {
  return {.step = step, .phase = Phase::kGather, .unit = 0, .name = name};
}

TEST(LaunchHistory, TheDigestKnowsNameSizeStepAndOrder) {
  LaunchHistory same_a, same_b, size, name, step, order;
  same_a.note(gather("a"), 8), same_a.note(gather("b"), 8);
  same_b.note(gather("a"), 8), same_b.note(gather("b"), 8);
  size.note(gather("a"), 8), size.note(gather("b"), 16);
  name.note(gather("a"), 8), name.note(gather("c"), 8);
  step.note(gather("a"), 8), step.note(gather("b", 2), 8);
  order.note(gather("b"), 8), order.note(gather("a"), 8);
  EXPECT_EQ(same_a.digest(), same_b.digest());
  for (const LaunchHistory* other : {&size, &name, &step, &order}) EXPECT_NE(same_a.digest(), other->digest());
}

TEST(LaunchHistory, NamesTheFirstDifferentLaunchOfTwoRanks) {
  LaunchHistory first, second, third;
  for (LaunchHistory* rank : {&first, &second, &third}) rank->note(gather("layers.0"), 8);
  first.note(gather("layers.1"), 8), second.note(gather("layers.1"), 8), third.note(gather("expert"), 8);
  for (LaunchHistory* rank : {&first, &second, &third}) rank->note(gather("head"), 8);
  EXPECT_EQ(first_difference({first.recent(), second.recent(), third.recent()}),
            "rank 0 is at: parameter gather of layers.1 in step 1 (8 bytes); "
            "rank 2 is at: parameter gather of expert in step 1 (8 bytes)");
  EXPECT_EQ(first_difference({first.recent(), second.recent()}), "");
}

TEST(LaunchHistory, OneThatLaunchedLessIsNamedToo) {
  LaunchHistory first, second;
  first.note(gather("a"), 8), first.note(gather("b"), 8);
  second.note(gather("a"), 8);
  EXPECT_NE(first_difference({first.recent(), second.recent()}).find("rank 1 is at: nothing more"), std::string::npos);
  EXPECT_NE(first_difference({LaunchHistory().recent(), second.recent()}).find("rank 0 is at: nothing more"),
            std::string::npos);
}

TEST(LaunchHistory, KeepsTheLastOnesUnderTheirNumbers) {
  LaunchHistory history;
  for (int launch = 0; launch < 3000; ++launch) history.note(gather("unit" + std::to_string(launch)), launch);
  EXPECT_EQ(history.count(), 3000);
  const std::string recent = history.recent();
  EXPECT_EQ(recent.find("1976 parameter gather of unit1976 in step 1 (1976 bytes)\n"), 0U);
  EXPECT_NE(recent.find("\n2999 "), std::string::npos);
}

}  // namespace
}  // namespace deepspeed::comm
