// Learning rates and betas as numbers: the expected ones were printed by DeepSpeed 0.19.8's own classes.
#include "optim/schedules.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "deepspeed/error.h"

namespace deepspeed::optim {
namespace {

using nlohmann::json;

constexpr double kGroupLrs[] = {0.01, 0.02};

struct Rate {
  int64_t iteration;
  double first;
  double second;
};

void expect_rates(std::string_view type, const json& params, const std::vector<Rate>& rates) {
  const auto schedule = make_schedule(type, params, kGroupLrs);
  EXPECT_EQ(schedule->name(), type);
  for (const Rate& rate : rates) {
    const auto lrs = schedule->lr(rate.iteration);
    ASSERT_EQ(lrs.size(), 2U);
    EXPECT_NEAR(lrs[0], rate.first, 1e-15) << type << " at iteration " << rate.iteration;
    EXPECT_NEAR(lrs[1], rate.second, 1e-15) << type << " at iteration " << rate.iteration;
  }
}

std::string error_of(std::string_view type, const json& params) {
  try {
    make_schedule(type, params, kGroupLrs);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Schedules, LRRangeTestGrowsFromEachGroupsMinimum) {
  expect_rates(
      "LRRangeTest",
      {{"lr_range_test_min_lr", {1e-3, 2e-3}}, {"lr_range_test_step_size", 5}, {"lr_range_test_step_rate", 2.0}},
      {{-1, 0.001, 0.002}, {0, 0.0014, 0.0028}, {4, 0.003, 0.006}, {7, 0.0042, 0.0084}});
}

TEST(Schedules, LRRangeTestWithStaircaseStaysWithinAnInterval) {
  expect_rates("LRRangeTest", {{"lr_range_test_step_size", 5}, {"lr_range_test_staircase", true}},
               {{-1, 0.001, 0.001}, {3, 0.001, 0.001}, {4, 0.002, 0.002}, {9, 0.003, 0.003}, {13, 0.003, 0.003}});
}

const json kCycle = {{"cycle_min_lr", 0.001},       {"cycle_max_lr", 0.011}, {"cycle_first_step_size", 4},
                     {"cycle_second_step_size", 6}, {"decay_step_size", 5},  {"decay_lr_rate", 0.5},
                     {"decay_mom_rate", 0.1}};

TEST(Schedules, OneCycleRisesFallsAndDecays) {
  expect_rates("OneCycle", kCycle,
               {{-1, 0.001, 0.001},
                {0, 0.0035, 0.0035},
                {3, 0.011, 0.011},
                {4, 0.009333333333333332, 0.009333333333333332},
                {8, 0.002666666666666668, 0.002666666666666668},
                {9, 0.001, 0.001},
                {10, 0.0009090909090909091, 0.0009090909090909091},
                {14, 0.0006666666666666666, 0.0006666666666666666},
                {29, 0.0003333333333333333, 0.0003333333333333333}});
}

TEST(Schedules, OneCycleMovesMomentumAgainstTheRate) {
  const auto schedule = make_schedule("OneCycle", kCycle, kGroupLrs);
  const std::vector<std::pair<int64_t, double>> expected = {{-1, 0.8}, {0, 0.875},  {3, 0.8},  {4, 0.8166666666666667},
                                                            {9, 0.9},  {10, 0.918}, {14, 0.99}};
  for (const auto& [iteration, momentum] : expected) {
    const auto betas = schedule->betas(iteration);
    ASSERT_EQ(betas.size(), 2U);
    EXPECT_NEAR(betas[1][0], momentum, 1e-15) << iteration;
    EXPECT_EQ(betas[1][1], 0.99);
  }
}

TEST(Schedules, OneCycleWithoutCycleMomentumLeavesBetasAlone) {
  json params = kCycle;
  params["cycle_momentum"] = false;
  EXPECT_TRUE(make_schedule("OneCycle", params, kGroupLrs)->betas(3).empty());
}

TEST(Schedules, OneCycleInStairs) {
  expect_rates(
      "OneCycle",
      {{"cycle_min_lr", 0.001}, {"cycle_max_lr", 0.011}, {"cycle_first_step_size", 6}, {"cycle_first_stair_count", 3}},
      {{0, 0.001, 0.001},
       {1, 0.004333333333333333, 0.004333333333333333},
       {2, 0.004333333333333333, 0.004333333333333333},
       {4, 0.007666666666666665, 0.007666666666666665},
       {5, 0.011, 0.011},
       {6, 0.007666666666666665, 0.007666666666666665},
       {8, 0.004333333333333333, 0.004333333333333333},
       {11, 0.001, 0.001},
       {100, 0.001, 0.001}});
}

TEST(Schedules, WarmupLRRisesByLogarithmToEachGroupsRate) {
  expect_rates("WarmupLR", {{"warmup_num_steps", 10}},
               {{-1, 0.0, 0.0},
                {0, 0.0, 0.0},
                {1, 0.0030102999566398113, 0.006020599913279623},
                {5, 0.007781512503836435, 0.01556302500767287},
                {9, 0.01, 0.02},
                {50, 0.01, 0.02}});
}

TEST(Schedules, WarmupLRRisesLinearly) {
  expect_rates(
      "WarmupLR",
      {{"warmup_min_lr", 0.001}, {"warmup_max_lr", 0.005}, {"warmup_num_steps", 10}, {"warmup_type", "linear"}},
      {{-1, 0.001, 0.001}, {0, 0.001, 0.001}, {5, 0.003, 0.003}, {9, 0.0046, 0.0046}, {10, 0.005, 0.005}});
}

TEST(Schedules, WarmupOfOneStepCountsAsTwo) {
  expect_rates("WarmupLR", {{"warmup_num_steps", 1}, {"warmup_max_lr", 0.1}}, {{0, 0.0, 0.0}, {1, 0.1, 0.1}});
}

TEST(Schedules, WarmupDecayLRFallsToZero) {
  expect_rates("WarmupDecayLR", {{"total_num_steps", 30}, {"warmup_num_steps", 10}},
               {{-1, 0.0, 0.0},
                {3, 0.0006020599913279623, 0.0006020599913279623},
                {10, 0.001, 0.001},
                {20, 0.0005, 0.0005},
                {29, 5e-05, 5e-05},
                {40, 0.0, 0.0}});
}

TEST(Schedules, WarmupDecayLRWithFewerStepsThanItsWarmup) {
  expect_rates("WarmupDecayLR", {{"total_num_steps", 5}, {"warmup_num_steps", 10}, {"warmup_type", "linear"}},
               {{5, 0.0005, 0.0005}, {9, 0.0009, 0.0009}, {10, 0.0, 0.0}});
}

TEST(Schedules, WarmupCosineLRScalesEachGroupsRate) {
  expect_rates("WarmupCosineLR",
               {{"total_num_steps", 30}, {"warmup_num_steps", 10}, {"warmup_min_ratio", 0.1}, {"cos_min_ratio", 0.01}},
               {{-1, 0.0, 0.0},
                {0, 0.001, 0.002},
                {3, 0.006418539921951661, 0.012837079843903322},
                {9, 0.01, 0.02},
                {10, 0.009939057285945933, 0.019878114571891866},
                {20, 0.0042756493980508565, 0.008551298796101713},
                {29, 0.0001, 0.0002},
                {60, 0.0001, 0.0002}});
}

TEST(Schedules, LastBatchIterationIsWhereToStart) {
  EXPECT_EQ(make_schedule("WarmupLR", json::object(), kGroupLrs)->start_iteration, -1);
  EXPECT_EQ(make_schedule("WarmupLR", {{"last_batch_iteration", 7}}, kGroupLrs)->start_iteration, 7);
}

TEST(Schedules, AnUnknownTypeIsAnErrorWithTheKnownOnes) {
  const std::string error = error_of("Warmup", json::object());
  EXPECT_NE(error.find("got \"Warmup\""), std::string::npos) << error;
  for (const auto name : kScheduleNames) EXPECT_NE(error.find(name), std::string::npos) << error;
}

TEST(Schedules, AnUnknownParameterIsNamedBeforeAMissingOne) {
  const std::string error = error_of("OneCycle", {{"cycle_min_l", 0.1}});
  EXPECT_NE(error.find("scheduler.params.cycle_min_l: "), std::string::npos) << error;
  EXPECT_NE(error.find("cycle_max_mom"), std::string::npos) << error;
}

TEST(Schedules, AMissingParameterWithoutDefaultIsNamed) {
  EXPECT_NE(error_of("WarmupDecayLR", nullptr).find("scheduler.params.total_num_steps: is missing"), std::string::npos);
}

TEST(Schedules, WrongValuesAreErrorsThatNameKeyAndValue) {
  EXPECT_NE(error_of("WarmupLR", {{"warmup_type", "cosine"}}).find("warmup_type: got \"cosine\""), std::string::npos);
  EXPECT_NE(error_of("WarmupLR", {{"warmup_num_steps", 0}}).find("warmup_num_steps: got 0"), std::string::npos);
  EXPECT_NE(error_of("WarmupLR", {{"warmup_num_steps", 2.5}}).find("warmup_num_steps: got 2.5"), std::string::npos);
  EXPECT_NE(error_of("WarmupLR", {{"warmup_min_lr", {1, 2, 3}}}).find("a list of 2 numbers"), std::string::npos);
  EXPECT_NE(error_of("WarmupLR", {{"warmup_max_lr", "auto"}}).find("warmup_max_lr: got \"auto\""), std::string::npos);
  EXPECT_NE(error_of("WarmupLR", json::array()).find("scheduler.params: got []"), std::string::npos);
}

}  // namespace
}  // namespace deepspeed::optim
