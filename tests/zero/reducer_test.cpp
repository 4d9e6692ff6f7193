#include "zero/reducer.h"

#include <gtest/gtest.h>

#include "zero/small_model.h"

namespace deepspeed::zero {
namespace {

using testing::NotingCommunicator;
using testing::SmallModel;
using Launches = std::vector<NotingCommunicator::Launch>;

struct Bench {
  Bench(const std::vector<int64_t>& numels, const Options& options)
      : model(numels), store(model.make_store(options, data)), reducer(*store, data) {
    for (int unit = 0; unit < static_cast<int>(numels.size()); ++unit) reducer.note_use(unit);
  }
  void backward(double factor, ReducePolicy policy = ReducePolicy::kNow) {
    reducer.begin_backward({.policy = policy, .scale = 1.0, .step = 0});
    model.loss(factor).backward();
    reducer.backward_done();
  }
  std::vector<float> owned(int unit) const {
    const at::Tensor& values = store->units()[unit].lanes[0].owned_gradient;
    return {values.data_ptr<float>(), values.data_ptr<float>() + store->parameters()[unit].tensor.numel()};
  }

  NotingCommunicator data;
  SmallModel model;
  std::unique_ptr<LaneStore> store;
  Reducer reducer;
};

Options stage(int number) {
  Options options;
  options.lifetimes = plan::stage_lifetimes(number);
  return options;
}

TEST(Reducer, SmallUnitsThatFitTheLargestOnesSlotGoOutInOneLaunch) {
  for (const int number : {0, 1, 2}) {
    Bench bench({64, 16, 16, 16}, stage(number));
    bench.backward(2.0);
    EXPECT_EQ(bench.data.reductions, (Launches{{"p3 to p1", {16, 16, 16}}, {"p0", {64}}})) << "stage " << number;
    for (int unit = 0; unit < 4; ++unit) EXPECT_EQ(bench.owned(unit).front(), 2.0F);
  }
}

TEST(Reducer, ABucketSizeLimitsALaunchButNeverSplitsAUnit) {
  Options options = stage(2);
  options.reduce_bucket_size = 32;
  Bench bench({64, 16, 16, 16}, options);
  bench.backward(1.0);
  EXPECT_EQ(bench.data.reductions, (Launches{{"p3 to p2", {16, 16}}, {"p1", {16}}, {"p0", {64}}}));
}

TEST(Reducer, BucketsShareASlotAndThePoolDoesNotGrow) {
  for (const bool overlap : {true, false}) {
    Options options = stage(2);
    options.overlap_comm = overlap;
    Bench bench({64, 16, 16, 16, 64, 16, 16}, options);
    for (int step = 0; step < 3; ++step) {
      bench.backward(1.0 + step);
      for (int unit = 0; unit < 7; ++unit) EXPECT_EQ(bench.owned(unit).back(), 1.0F + static_cast<float>(step));
      bench.reducer.start_window();
    }
    EXPECT_EQ(bench.store->gradient_slots()->count(), overlap ? 2 : 1);
    EXPECT_EQ(bench.store->gradient_slots()->grown(), 0);
  }
}

TEST(Reducer, SlotsThatAreNoLongerNeededAreGivenBackAndThoseInUseStay) {
  Bench bench({64, 64, 64, 64, 64}, stage(2));
  const auto backward_of_first = [&](int units) {
    at::Tensor loss = at::zeros({});
    for (int unit = 0; unit < units; ++unit) loss = loss + bench.model.parameters[unit].tensor.sum();
    bench.reducer.begin_backward({.policy = ReducePolicy::kNow, .scale = 1.0, .step = 0});
    loss.backward();
    bench.reducer.backward_done();
    bench.reducer.start_window();
  };
  backward_of_first(4);  // p4 is the first of the order: the others wait for it
  const int most = bench.store->gradient_slots()->count();
  EXPECT_GT(most, 2);
  backward_of_first(4);
  EXPECT_EQ(bench.store->gradient_slots()->count(), most) << "needed in this window too";
  backward_of_first(4);  // p4 is not waited for any more
  EXPECT_EQ(bench.store->gradient_slots()->count(), 2);
}

TEST(Reducer, KeptGradientsAndLaterOnesOfOneBucketAddUp) {
  for (const int number : {0, 1, 2}) {
    Bench bench({16, 16}, stage(number));
    bench.backward(1.0, ReducePolicy::kKeepLocal);
    EXPECT_TRUE(bench.data.reductions.empty());
    bench.backward(2.0);
    EXPECT_EQ(bench.data.reductions.size(), 2u) << "two units, each as large as the largest";
    for (int unit = 0; unit < 2; ++unit) EXPECT_EQ(bench.owned(unit).front(), 3.0F) << "stage " << number;
  }
}

TEST(Reducer, ASecondReducingBackwardOfAWindowIsAdded) {
  for (const int number : {0, 1, 2}) {
    Bench bench({64, 16, 16}, stage(number));
    bench.backward(1.0);
    bench.backward(2.0);
    for (int unit = 0; unit < 3; ++unit) EXPECT_EQ(bench.owned(unit).front(), 3.0F) << "stage " << number;
    bench.reducer.start_window();
    bench.backward(5.0);
    for (int unit = 0; unit < 3; ++unit) EXPECT_EQ(bench.owned(unit).front(), 5.0F) << "stage " << number;
  }
}

TEST(Reducer, AParameterWithoutAGradientCountsAsZeroInItsBucket) {
  Bench bench({64, 16, 16}, stage(2));
  bench.reducer.begin_backward({.policy = ReducePolicy::kNow, .scale = 1.0, .step = 0});
  (bench.model.parameters[1].tensor.sum() * 3.0).backward();
  bench.reducer.backward_done();
  EXPECT_EQ(bench.data.reductions, (Launches{{"p2 to p1", {16, 16}}, {"p0", {64}}}));
  EXPECT_EQ(bench.owned(0).front(), 0.0F);
  EXPECT_EQ(bench.owned(1).front(), 3.0F);
  EXPECT_EQ(bench.owned(2).front(), 0.0F);
}

TEST(Reducer, ZeroSizeParametersAreReadyAtOnce) {
  Bench bench({16, 0, 16}, stage(2));
  bench.backward(4.0);
  EXPECT_EQ(bench.owned(0).front(), 4.0F);
  EXPECT_EQ(bench.owned(2).front(), 4.0F);
}

TEST(Reducer, AfterAnAbandonedBackwardTheNextOneStartsClean) {
  Bench bench({64, 16, 16}, stage(2));
  bench.reducer.begin_backward({.policy = ReducePolicy::kNow, .scale = 1.0, .step = 0});
  (bench.model.parameters[2].tensor.sum() * 3.0).backward();
  bench.reducer.abandon_backward();
  bench.backward(2.0);
  for (int unit = 0; unit < 3; ++unit) EXPECT_EQ(bench.owned(unit).front(), 2.0F);
  EXPECT_EQ(bench.store->gradient_slots()->grown(), 0);
}

TEST(Reducer, AfterAReductionThatFailedEverySlotIsBack) {
  for (const auto fails : {testing::Fails::kAtLaunch, testing::Fails::kInWait}) {
    Bench bench({64, 16, 16}, stage(2));
    bench.backward(1.0);
    bench.reducer.start_window();
    for (int slot = 0; slot < bench.store->gradient_slots()->count(); ++slot) {
      bench.data.next_reduction = fails;
      EXPECT_THROW(bench.backward(1.0), CommError);
      bench.reducer.abandon_backward();
    }
    for (int step = 0; step < 3; ++step) {
      bench.backward(2.0);
      for (int unit = 0; unit < 3; ++unit) EXPECT_EQ(bench.owned(unit).front(), 2.0F);
      bench.reducer.start_window();
    }
    EXPECT_EQ(bench.store->gradient_slots()->grown(), 0);
  }
}

TEST(Reducer, AWindowHoldsWhatItsBackwardsWrote) {
  for (const int number : {0, 1}) {
    Bench bench({16, 16}, stage(number));
    bench.backward(1.0);
    bench.reducer.start_window();
    EXPECT_FALSE(bench.reducer.holds_gradient(0)) << "the last window's";
    bench.reducer.begin_backward({.policy = ReducePolicy::kKeepLocal, .scale = 1.0, .step = 0});
    (bench.model.parameters[1].tensor.sum() * 3.0).backward();
    bench.reducer.backward_done();
    EXPECT_FALSE(bench.reducer.holds_gradient(0));
    EXPECT_TRUE(bench.reducer.holds_gradient(1));
    bench.backward(2.0);
    EXPECT_TRUE(bench.reducer.holds_gradient(0));
  }
}

}  // namespace
}  // namespace deepspeed::zero
