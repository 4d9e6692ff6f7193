#include "plan/step_time.h"

#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::plan {
namespace {

constexpr int64_t kNumel = 32;          // of a unit: 128 bytes in fp32, two parts of a cache line
constexpr double kReductionBytes = 64;  // that each of two ranks sends of it
constexpr double kFlagBytes = 2;        // and for each unit of the list of late gradients
constexpr double kNormBytes = 8;

/// Units of kNumel elements, used one after the other.
StepModel make_model(int num_units, double forward_flops, double backward_flops, int world = 2) {
  StepModel model;
  for (int unit = 0; unit < num_units; ++unit) {
    const std::vector<ParameterInfo> parameters = {{.name = "w", .numel = kNumel, .group = 0}};
    model.units.push_back(lay_out_unit(concat("unit ", unit), {0}, parameters, world));
    model.uses.push_back({.unit = unit, .forward_flops = forward_flops, .backward_flops = backward_flops});
  }
  return model;
}

/// One operation a second; memory is free; two ranks on one host.
Machine make_two_ranks(double bandwidth, double latency_s = 0) {
  return {.flops = 1,
          .memory_bandwidth = 1e30,
          .network = {.ranks_per_host = 2, .rank_bandwidth = bandwidth, .host_latency_s = latency_s}};
}

StepOptions stage(int number) { return {.stage = number, .persistence_threshold = 0}; }

TEST(StepTime, OneRankOnlyComputes) {
  Machine machine = make_two_ranks(1);
  machine.network.ranks_per_host = 1;
  for (int number = 0; number <= 3; ++number) {
    const StepTime time = simulate_step(make_model(2, 1, 2, 1), machine, stage(number));
    EXPECT_DOUBLE_EQ(time.forward_s, 2);
    EXPECT_DOUBLE_EQ(time.total_s(), 6);
    EXPECT_DOUBLE_EQ(time.efficiency(), 1);
    EXPECT_EQ(time.sent_rank_bytes, 0);
  }
}

TEST(StepTime, OneUnitIsReducedAfterItsBackwardAndGatheredAfterItsUpdate) {
  const StepTime time = simulate_step(make_model(1, 3, 6), make_two_ranks(kReductionBytes), stage(1));
  EXPECT_DOUBLE_EQ(time.forward_s, 3);
  EXPECT_DOUBLE_EQ(time.backward_s, 6 + 1 + kFlagBytes / kReductionBytes);
  EXPECT_DOUBLE_EQ(time.boundary_s, kNormBytes / kReductionBytes + 1);
  EXPECT_DOUBLE_EQ(time.compute_s, 9);
}

TEST(StepTime, AReductionHidesBehindTheNextUnitsBackward) {
  const StepTime time = simulate_step(make_model(2, 1, 4), make_two_ranks(kReductionBytes), stage(1));
  EXPECT_DOUBLE_EQ(time.backward_s, 4 + 4 + 1 + 2 * kFlagBytes / kReductionBytes);
}

TEST(StepTime, WithoutOverlapEveryReductionIsWaitedFor) {
  StepOptions options = stage(1);
  options.overlap_comm = false;
  const StepTime time = simulate_step(make_model(2, 1, 4), make_two_ranks(kReductionBytes), options);
  EXPECT_DOUBLE_EQ(time.backward_s, 4 + 1 + 4 + 1 + 2 * kFlagBytes / kReductionBytes);
}

TEST(StepTime, ASlowLinkBoundsBackward) {
  // Reductions of 10 s behind backwards of 4 s: 4 for the first unit, then three of 10.
  const StepTime time = simulate_step(make_model(3, 1, 4), make_two_ranks(kReductionBytes / 10), stage(1));
  EXPECT_DOUBLE_EQ(time.backward_s, 4 + 30 + 10 * 3 * kFlagBytes / kReductionBytes);
}

TEST(StepTime, LatencyCountsCollectivesNotBytes) {
  const StepTime time = simulate_step(make_model(1, 1, 2), make_two_ranks(1e30, 10), stage(1));
  EXPECT_EQ(time.num_collectives, 4);  // reduction, list of late gradients, norm, gather
  EXPECT_DOUBLE_EQ(time.total_s(), 3 + 40);
}

TEST(StepTime, TheUpdateIsItsBytesOverTheMemorysBandwidth) {
  Machine machine = make_two_ranks(1e30);
  machine.memory_bandwidth = 1;
  // fp32 Adam: gradient 4 for the norm; gradient 4, parameter 8, moments 16 for the update.
  const StepTime whole = simulate_step(make_model(1, 1, 2), machine, stage(0));
  EXPECT_DOUBLE_EQ(whole.boundary_s, kNumel * (4 + 28));
  const StepTime sharded = simulate_step(make_model(1, 1, 2), machine, stage(1));
  EXPECT_DOUBLE_EQ(sharded.boundary_s, kNumel * (4 + 28) / 2);
  // Its hook reads and writes each gradient once.
  EXPECT_DOUBLE_EQ(whole.backward_s, 2 + kNumel * 8);
}

TEST(StepTime, AtStage2OnlyLaterMicroBatchesTouchTheOwnersGradientsAgain) {
  Machine machine = make_two_ranks(1e30);
  machine.memory_bandwidth = 1;
  StepOptions options = stage(2);
  constexpr double kHook = kNumel * 8;  // reads and writes each gradient
  EXPECT_DOUBLE_EQ(simulate_step(make_model(1, 1, 2), machine, options).backward_s, 2 + kHook);
  options.micro_batches = 3;
  constexpr double kAdd = kNumel / 2 * (4 + 4 + 4);  // the shard's sum in the slot to the owner's
  EXPECT_DOUBLE_EQ(simulate_step(make_model(1, 1, 2), machine, options).backward_s, 3 * (2 + kHook) + 2 * kAdd);
}

TEST(StepTime, AGatherHidesBehindTheNextUnitsUpdate) {
  Machine machine = make_two_ranks(kReductionBytes);
  machine.memory_bandwidth = kNumel * 28 / 2;  // a unit's update takes 1 s, as does its gather
  const StepTime time = simulate_step(make_model(3, 1, 1), machine, stage(1));
  const double norm_s = 3 * kNumel * 4 / 2 / machine.memory_bandwidth + kNormBytes / kReductionBytes;
  EXPECT_DOUBLE_EQ(time.boundary_s, norm_s + 3 + 1);
}

TEST(StepTime, BytesFollowTheFormulas) {
  constexpr int kUnits = 10;
  const auto sent = [&](int number) {
    return simulate_step(make_model(kUnits, 1, 2), make_two_ranks(1), stage(number)).sent_rank_bytes -
           kUnits * kFlagBytes - (number == 0 ? 0 : kNormBytes);
  };
  EXPECT_DOUBLE_EQ(sent(0), 2 * kUnits * kReductionBytes);  // reduce-scatter and all-gather of gradients
  EXPECT_DOUBLE_EQ(sent(1), 2 * kUnits * kReductionBytes);  // reduce-scatter of gradients, all-gather of parameters
  EXPECT_DOUBLE_EQ(sent(2), 2 * kUnits * kReductionBytes);
  // Parameters twice, but for the two units that lie in their slots when backward begins: 1.5 times stage 2, less that.
  EXPECT_DOUBLE_EQ(sent(3), (3 * kUnits - 2) * kReductionBytes);
  const StepTime time = simulate_step(make_model(kUnits, 1, 2), make_two_ranks(1), stage(3));
  EXPECT_EQ(time.num_reductions, kUnits);
  EXPECT_EQ(time.num_gathers, 2 * kUnits - 2);
}

TEST(StepTime, SixteenBitParametersHalveTheGathersOnly) {
  StepOptions options = stage(2);
  options.bytes = {.compute = 2, .accumulation = 4, .master = 4, .optimizer_states = 8};
  const StepTime time = simulate_step(make_model(1, 1, 2), make_two_ranks(1), options);
  EXPECT_DOUBLE_EQ(time.sent_rank_bytes, 1.5 * kReductionBytes + kFlagBytes + kNormBytes);
}

TEST(StepTime, Stage3GathersAheadOfItsUse) {
  // A gather takes 1 s, forward 2 s: only the first gather is waited for. Backward finds the last two in their slots,
  // gathers the first of three ahead, and waits for the last reduction.
  const StepTime time = simulate_step(make_model(3, 2, 4), make_two_ranks(kReductionBytes), stage(3));
  EXPECT_DOUBLE_EQ(time.forward_s, 1 + 6);
  EXPECT_DOUBLE_EQ(time.backward_s, 12 + 1 + 3 * kFlagBytes / kReductionBytes);
}

TEST(StepTime, Stage3WaitsForEveryUnitWhereNothingIsGatheredAhead) {
  StepOptions options = stage(3);
  options.prefetch_bucket_size = 0;
  const StepTime time = simulate_step(make_model(3, 2, 4), make_two_ranks(kReductionBytes), options);
  EXPECT_DOUBLE_EQ(time.forward_s, 3 + 6);
}

TEST(StepTime, UnitsBelowTheThresholdStayWholeAndAreGatheredAtTheBoundary) {
  StepOptions options = stage(3);
  options.persistence_threshold = kNumel + 1;
  const StepTime time = simulate_step(make_model(3, 2, 4), make_two_ranks(kReductionBytes), options);
  EXPECT_DOUBLE_EQ(time.forward_s, 6);
  EXPECT_DOUBLE_EQ(time.sent_rank_bytes, 6 * kReductionBytes + 3 * kFlagBytes + kNormBytes);
}

TEST(StepTime, BackwardWaitsForAGradientSlot) {
  // Two slots, reductions of 5 s. 0-4 unit 2, whose slot comes back at 9; 4-8 unit 1; with lanes of its own unit 0
  // takes 8-18, else it waits for a slot and takes 9-19. Then its reduction.
  StepModel model = make_model(3, 1, 4);
  model.uses[0].backward_flops = 10;
  const Machine machine = make_two_ranks(kReductionBytes / 5);
  const double flags_s = 5 * 3 * kFlagBytes / kReductionBytes;
  EXPECT_DOUBLE_EQ(simulate_step(model, machine, stage(1)).backward_s, 18 + 5 + flags_s);
  EXPECT_DOUBLE_EQ(simulate_step(model, machine, stage(2)).backward_s, 19 + 5 + flags_s);
}

TEST(StepTime, AUnitUsedFirstAndLastIsReducedOnceAtTheEnd) {
  StepModel model = make_model(3, 1, 4);
  model.uses.push_back({.unit = 0, .forward_flops = 1, .backward_flops = 4});
  const StepTime time = simulate_step(model, make_two_ranks(kReductionBytes), stage(1));
  EXPECT_DOUBLE_EQ(time.backward_s, 16 + 1 + 3 * kFlagBytes / kReductionBytes);
  EXPECT_EQ(time.num_collectives, 3 + 1 + 1 + 3);
}

TEST(StepTime, MicroBatchesBeforeTheLastAreReducedAtStages2And3Only) {
  const auto collectives = [](int number, int micro_batches) {
    StepOptions options = stage(number);
    options.micro_batches = micro_batches;
    return simulate_step(make_model(2, 1, 2), make_two_ranks(1), options).num_collectives;
  };
  EXPECT_EQ(collectives(1, 4), collectives(1, 1));
  EXPECT_EQ(collectives(2, 4), collectives(2, 1) + 3 * (2 + 1));  // two units and the list of late gradients
}

TEST(StepTime, SmallUnitsShareACollective) {
  StepModel model = make_model(3, 1, 2);
  const std::vector<ParameterInfo> parameters = {{.name = "w", .numel = 3 * kNumel, .group = 0}};
  model.units.push_back(lay_out_unit("large", {0}, parameters, 2));
  model.uses.push_back({.unit = 3, .forward_flops = 1, .backward_flops = 2});
  EXPECT_EQ(simulate_step(model, make_two_ranks(1), stage(1)).num_collectives, 2 + 1 + 1 + 2);
}

TEST(StepTime, MoreBandwidthIsNeverSlower) {
  const ModelDescription model = describe_decoder(find_shape("1.3b"), core::Dtype::kBFloat16);
  for (int number = 0; number <= 3; ++number) {
    double before = 1e30;
    for (double gigabits = 0.25; gigabits < 2000; gigabits *= 1.5) {
      const Machine machine = make_machine(find_host("h100"), 8, 4, gigabits * 1e9 / 8);
      const double now = simulate_step(cut_for_steps(model, 32, 4096, false), machine, stage(number)).total_s();
      EXPECT_LE(now, before * (1 + 1e-12)) << "stage " << number << ", " << gigabits << " Gb/s";
      before = now;
    }
  }
}

TEST(StepTime, EfficiencyIsAPartOfOneAndTheSameAtEveryCall) {
  const ModelDescription model = describe_decoder(find_shape("7b"), core::Dtype::kBFloat16);
  const StepModel cut = cut_for_steps(model, 64, 4096, true);
  for (int number = 0; number <= 3; ++number) {
    const Machine machine = make_machine(find_host("a100"), 8, 8, 1e9);
    const StepTime first = simulate_step(cut, machine, stage(number));
    EXPECT_GT(first.efficiency(), 0);
    EXPECT_LE(first.efficiency(), 1);
    EXPECT_EQ(first.total_s(), simulate_step(cut, machine, stage(number)).total_s());
  }
}

TEST(StepTime, WhatMakesNoSenseIsAnError) {
  StepOptions options;
  options.micro_batches = 0;
  EXPECT_THROW(simulate_step(make_model(1, 1, 1), make_two_ranks(1), options), ValueError);
  EXPECT_THROW(simulate_step({}, make_two_ranks(1), {}), ValueError);
  EXPECT_THROW(simulate_step(make_model(1, 1, 1), make_two_ranks(1), {.stage = 4}), ValueError);
}

}  // namespace
}  // namespace deepspeed::plan
