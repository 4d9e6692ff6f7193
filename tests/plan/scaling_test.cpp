#include "plan/scaling.h"

#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::plan {
namespace {

ScalingQuestion make_question() {
  return {.model = describe_decoder(find_shape("1.3b"), core::Dtype::kBFloat16),
          .host = find_host("h100"),
          .ranks_per_host = 8,
          .hosts = {1, 4},
          .gigabits = {10, 100},
          .stages = {1, 3},
          .tokens = 2048};
}

TEST(Scaling, PredictionsComeInTheOrderOfTheQuestion) {
  const auto predictions = predict(make_question());
  ASSERT_EQ(predictions.size(), 8);
  EXPECT_EQ(predictions[0].gigabits, 10);
  EXPECT_EQ(predictions[0].world, 8);
  EXPECT_EQ(predictions[1].stage, 3);
  EXPECT_EQ(predictions[2].world, 32);
  EXPECT_EQ(predictions[4].gigabits, 100);
}

TEST(Scaling, HeldBytesAreTheMemoryContracts) {
  const auto predictions = predict(make_question());
  const double numel = static_cast<double>(make_question().model.numel());
  // Stage 1 in 16 bits: N(c + a) + N(m + o) / W.
  EXPECT_DOUBLE_EQ(predictions[0].held_bytes, numel * 6 + numel * 12 / 8);
  EXPECT_TRUE(predictions[0].fits);
  EXPECT_LT(predictions[1].held_bytes, predictions[0].held_bytes);
}

TEST(Scaling, WhatExceedsTheMemoryOfARankDoesNotFit) {
  ScalingQuestion question = make_question();
  question.host.memory_bytes = 6e9;
  const auto predictions = predict(question);
  EXPECT_FALSE(predictions[0].fits);
  EXPECT_TRUE(predictions[1].fits);
}

TEST(Scaling, OneHostDoesNotUseTheNetwork) {
  const auto predictions = predict(make_question());
  EXPECT_EQ(predictions[0].time.total_s(), predictions[4].time.total_s());
  EXPECT_EQ(predictions[0].time.sent_host_bytes, 0);
  EXPECT_GT(predictions[2].time.total_s(), predictions[6].time.total_s());
}

TEST(Scaling, SixteenBitsHaveMastersAndFloat32HasNone) {
  EXPECT_EQ(adam_bytes(core::Dtype::kBFloat16).master, 4);
  EXPECT_EQ(adam_bytes(core::Dtype::kBFloat16).compute, 2);
  EXPECT_EQ(adam_bytes(core::Dtype::kFloat32).master, 0);
}

TEST(Scaling, NoTokensIsAnError) {
  ScalingQuestion question = make_question();
  question.tokens = 0;
  EXPECT_THROW(predict(question), ValueError);
}

}  // namespace
}  // namespace deepspeed::plan
