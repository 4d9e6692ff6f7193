#include "launcher/restart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace deepspeed::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::vector<Host> kHosts = {{"a", {0}}, {"b", {0, 1}}, {"c", {0}}};
const Outcome kFailed = {.exit_code = 7, .reason = "rank 2 failed (exit code 7)"};
const Outcome kLost = {.exit_code = 1, .reason = "host b was lost", .lost_hosts = {"b"}};

TEST(Restart, IsNeverUnlessAskedFor) {
  const auto decision = decide_on_restart({}, kHosts, kFailed, 0);
  EXPECT_FALSE(decision.starts_again);
  EXPECT_EQ(decision.line, "");
  EXPECT_THAT(restart_variables({}, 0), IsEmpty());
}

TEST(Restart, AFailureIsTriedAgainOnAllHostsUntilTheBound) {
  const RestartPolicy policy{.max_restarts = 2};
  const auto first = decide_on_restart(policy, kHosts, kFailed, 0);
  EXPECT_TRUE(first.starts_again);
  EXPECT_EQ(first.hosts, kHosts);
  EXPECT_EQ(first.line, "deepspeed: rank 2 failed (exit code 7); restart 1 of 2 on 3 hosts.\n");
  EXPECT_TRUE(decide_on_restart(policy, kHosts, kFailed, 1).starts_again);
  const auto last = decide_on_restart(policy, kHosts, kFailed, 2);
  EXPECT_FALSE(last.starts_again);
  EXPECT_EQ(last.line, "deepspeed: rank 2 failed (exit code 7); not started again, --max_restarts 2 is used up.\n");
}

TEST(Restart, ALostHostIsLeftOutWhereFewerAreEnough) {
  const auto decision = decide_on_restart({.max_restarts = 1, .min_nodes = 2}, kHosts, kLost, 0);
  EXPECT_TRUE(decision.starts_again);
  EXPECT_THAT(decision.hosts, ElementsAre(kHosts[0], kHosts[2]));
  EXPECT_EQ(decision.line, "deepspeed: host b was lost; restart 1 of 1 on 2 hosts.\n");
  EXPECT_EQ(decide_on_restart({.max_restarts = 1}, kHosts, kLost, 0).hosts, kHosts);  // it may come back
  const auto too_few = decide_on_restart({.max_restarts = 1, .min_nodes = 3}, kHosts, kLost, 0);
  EXPECT_FALSE(too_few.starts_again);
  EXPECT_EQ(too_few.line, "deepspeed: host b was lost; not started again, 2 hosts left and --min_nodes 3.\n");
}

TEST(Restart, WhatTheUserEndedStaysEnded) {
  Outcome outcome = kFailed;
  outcome.is_by_signal = true;
  EXPECT_FALSE(decide_on_restart({.max_restarts = 2}, kHosts, outcome, 0).starts_again);
  EXPECT_FALSE(decide_on_restart({.max_restarts = 2}, kHosts, {}, 0).starts_again);
}

TEST(Restart, WhatNeverBeganIsNotTriedAgainButALostHostOnTheWayIs) {
  Outcome outcome = kLost;
  outcome.was_started = false;
  EXPECT_FALSE(decide_on_restart({.max_restarts = 2}, kHosts, outcome, 0).starts_again);
  EXPECT_TRUE(decide_on_restart({.max_restarts = 2}, kHosts, outcome, 1).starts_again);
  outcome.lost_hosts.clear();  // a host has refused
  EXPECT_FALSE(decide_on_restart({.max_restarts = 2}, kHosts, outcome, 1).starts_again);
}

TEST(Restart, VariablesTellTheCount) {
  using Variable = std::pair<std::string, std::string>;
  EXPECT_THAT(restart_variables({.max_restarts = 3}, 1),
              ElementsAre(Variable("DEEPSPEED_RESTART_COUNT", "1"), Variable("TORCHELASTIC_RESTART_COUNT", "1"),
                          Variable("TORCHELASTIC_MAX_RESTARTS", "3")));
}

TEST(Restart, AFailureInShortNamesRankAndEnd) {
  Failure failure;
  failure.rank = 2;
  failure.wait_status = 7 << 8;
  EXPECT_EQ(failure_in_short(failure), "rank 2 failed (exit code 7)");
  failure.wait_status = 9;
  EXPECT_EQ(failure_in_short(failure), "rank 2 failed (SIGKILL)");
}

}  // namespace
}  // namespace deepspeed::launcher
