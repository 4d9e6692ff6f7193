#include "plan/memory.h"

#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::plan {
namespace {

constexpr ModelSize kSize{
    .trainable_numel = 1000, .frozen_numel = 200, .largest_unit_numel = 100, .largest_bound_numel = 150};
constexpr ElementBytes kBf16{.compute = 2, .accumulation = 4, .master = 4, .optimizer_states = 8};

double total(int stage, int world) { return estimate_memory(kSize, kBf16, stage_lifetimes(stage), world, 2).total(); }

TEST(Memory, FollowsTheContractAtEachStage) {
  EXPECT_DOUBLE_EQ(total(0, 4), 1000.0 * 18 + 200 * 2);
  EXPECT_DOUBLE_EQ(total(1, 4), 1000.0 * 6 + 1000.0 * 12 / 4 + 200 * 2);
  EXPECT_DOUBLE_EQ(total(2, 4), 1000.0 * 2 + 1000.0 * 16 / 4 + 200 * 2 + 2 * 100 * 4);
  EXPECT_DOUBLE_EQ(total(3, 4), (1000.0 * 18 + 200 * 2) / 4 + 2 * (150 * 2 + 100 * 4));
}

TEST(Memory, WhatStaysWholeAtStageThreeIsNotDivided) {
  ModelSize size = kSize;
  size.persistent_numel = 40;
  EXPECT_DOUBLE_EQ(estimate_memory(size, kBf16, stage_lifetimes(3), 4, 2).total() - total(3, 4), 40.0 * 2 * 3 / 4);
}

TEST(Memory, ANodeHoldsWhatItsRanksOffloadOrBuild) {
  const NodeQuestion whole{.numel = 1000, .largest_unit_numel = 100, .ranks_per_node = 4, .nodes = 2};
  const NodeMemory plain = estimate_node(whole, stage_lifetimes(3));
  EXPECT_DOUBLE_EQ(plain.slots, 2 * 100 * (2 + 4));
  EXPECT_DOUBLE_EQ(plain.device, 1000.0 * 18 / 8 + plain.slots);
  EXPECT_DOUBLE_EQ(plain.host, 4.0 * 1000 * 4);  // four fp32 copies while the model is built

  NodeQuestion question = whole;
  question.builds_sharded = true;
  question.offloads_optimizer = true;
  question.host_factor = 1.5;
  EXPECT_DOUBLE_EQ(estimate_node(question, stage_lifetimes(3)).device, 1000.0 * 2 / 8 + plain.slots);
  EXPECT_DOUBLE_EQ(estimate_node(question, stage_lifetimes(3)).host, 1.5 * 1000 * 16 / 2);
  question.offloads_parameters = true;
  EXPECT_DOUBLE_EQ(estimate_node(question, stage_lifetimes(3)).device, plain.slots);
  EXPECT_DOUBLE_EQ(estimate_node(question, stage_lifetimes(3)).host, 1.5 * 1000 * 18 / 2);
}

TEST(Memory, OneRankGathersNothing) {
  const NodeQuestion alone{.numel = 1000, .largest_unit_numel = 100};
  EXPECT_DOUBLE_EQ(estimate_node(alone, stage_lifetimes(3)).device, 1000.0 * 18 + 2 * 100 * 4);
  EXPECT_THROW(estimate_node({.numel = 1, .nodes = 0}, stage_lifetimes(3)), ValueError);
}

TEST(Memory, UnknownStageIsAnError) { EXPECT_THROW(stage_lifetimes(4), ValueError); }

}  // namespace
}  // namespace deepspeed::plan
