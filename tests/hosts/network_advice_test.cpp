#include "hosts/network_advice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::hosts {
namespace {

using ::testing::HasSubstr;

NetworkQuestion question(double gigabits) {
  return {.model = "1.3b", .num_hosts = 2, .ranks_per_host = 4, .on_gpus = true, .bytes_per_s = gigabits / 8e-9};
}

TEST(NetworkAdvice, BytesAndSecondsFitTheBandwidth) {
  const NetworkAdvice advice = advise(question(1));
  ASSERT_EQ(advice.stages.size(), 4u);
  for (const StageCost& cost : advice.stages) {
    EXPECT_DOUBLE_EQ(cost.network_s, cost.sent_host_bytes * 8e-9);
    EXPECT_GT(cost.sent_host_bytes, 1e9);  // 1.3 G parameters in 2 bytes and more
    EXPECT_GE(cost.step_s, cost.network_s * 0.99);
    EXPECT_LT(cost.efficiency, 0.5);
  }
  EXPECT_GT(advice.stages[3].sent_host_bytes, advice.stages[1].sent_host_bytes);
}

TEST(NetworkAdvice, WhatIsLostInsideHostsIsNotTheNetworksFault) {
  for (const StageCost& cost : advise(question(100'000)).stages) EXPECT_GT(cost.efficiency, 0.99) << cost.stage;
}

TEST(NetworkAdvice, ASlowNetworkGetsARemedyAndAFastOneDoesNot) {
  EXPECT_THAT(advise(question(1)).sentence, HasSubstr("1 Gb/s: a ZeRO-3 step of a 1.3b model moves "));
  EXPECT_THAT(advise(question(1)).sentence, HasSubstr("gradient_accumulation_steps"));
  EXPECT_THAT(advise(question(1)).sentence, HasSubstr("larger ones want 10 Gb/s and more."));
  EXPECT_THAT(advise(question(100'000)).sentence, HasSubstr("which is little"));
}

TEST(NetworkAdvice, AModelThatIsNotKnownAndNothingMeasuredAreErrors) {
  NetworkQuestion unknown = question(1);
  unknown.model = "17zz";
  EXPECT_THROW(advise(unknown), ValueError);
  EXPECT_THROW(advise(question(0)), ValueError);
}

}  // namespace
}  // namespace deepspeed::hosts
