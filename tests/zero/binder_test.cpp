#include "zero/binder.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "comm/factory.h"
#include "deepspeed/error.h"
#include "support/ranks.h"
#include "zero/small_model.h"

namespace deepspeed::zero {
namespace {

using deepspeed::testing::RankContext;
using deepspeed::testing::run_on_ranks;
using testing::SmallModel;

Options sharded() {
  Options options;
  options.lifetimes = plan::stage_lifetimes(3);
  options.persistence_threshold = 0;
  return options;
}

/// Parameters p0, p1, ... whose elements are all 1, 2, ... (SmallModel), sharded over two ranks.
struct Bench {
  Bench(RankContext& context, const std::vector<int64_t>& numels, const Options& options = sharded())
      : data(comm::make_communicator(context.new_group(), at::kCPU)),
        gathers(comm::make_communicator(context.new_group(), at::kCPU)),
        model(numels, context.world()),
        store(model.make_store(options, *data)),
        binder(std::make_shared<Binder>(*store, *gathers)) {
    binder->start();
  }
  float sum(int index) const { return model.parameters[index].tensor.sum().item<float>(); }
  /// One use of each, as a forward and its backward would.
  void pass(const std::vector<int>& order) {
    binder->begin_pass(true, 0);
    for (const int index : order) EXPECT_EQ(sum(index), static_cast<float>((index + 1) * 32));
  }

  std::unique_ptr<comm::Communicator> data;
  std::unique_ptr<comm::Communicator> gathers;
  SmallModel model;
  std::unique_ptr<LaneStore> store;
  std::shared_ptr<Binder> binder;
};

TEST(Binder, ATouchGathersAndTheSlotsStayTwo) {
  run_on_ranks(2, [](RankContext& context) {
    Bench bench(context, {32, 32, 32, 32});
    bench.pass({0, 1, 2, 3, 3, 2, 1, 0});
    // 3 and 2 are still there when the way back begins.
    EXPECT_EQ(bench.binder->statistics().gathers, 6);
    EXPECT_EQ(bench.binder->statistics().grown_slots, 0);
    EXPECT_EQ(bench.binder->slot_bytes(), 2 * 32 * 4);
    EXPECT_TRUE(bench.binder->is_bound(0) && bench.binder->is_bound(1) && !bench.binder->is_bound(3));
  });
}

TEST(Binder, FromTheSecondPassOnGathersGoAheadAndAreNoMore) {
  run_on_ranks(2, [](RankContext& context) {
    Bench bench(context, {32, 32, 32, 32});
    for (int step = 0; step < 4; ++step) {
      bench.pass({0, 1, 2, 3, 2, 1, 0});
      bench.binder->invalidate();
    }
    EXPECT_LE(bench.binder->statistics().gathers, 4 * 7);
    EXPECT_EQ(bench.binder->statistics().grown_slots, 0);
  });
}

TEST(Binder, AnOperatorThatNeedsMoreUnitsAtOnceGrowsThePoolUpToTheLimit) {
  run_on_ranks(2, [](RankContext& context) {
    Bench bench(context, {32, 32, 32});
    const auto& p = bench.model.parameters;
    EXPECT_EQ(at::cat({p[0].tensor, p[1].tensor, p[2].tensor}).sum().item<float>(), 6.0F * 32);
    EXPECT_EQ(bench.binder->statistics().grown_slots, 1);
    EXPECT_EQ(bench.sum(1), 64.0F);
    bench.binder->invalidate();
    EXPECT_EQ(bench.binder->slot_bytes(), 3 * 32 * 4) << "kept for the next step like this one";
    bench.pass({0, 1, 2});
    bench.binder->invalidate();
    EXPECT_EQ(bench.binder->slot_bytes(), 2 * 32 * 4);
    Options limited = sharded();
    limited.max_live_parameters = 64;
    Bench second(context, {32, 32, 32}, limited);
    const auto& q = second.model.parameters;
    try {
      (void)at::cat({q[0].tensor, q[1].tensor, q[2].tensor});
      ADD_FAILURE() << "expected ValueError";
    } catch (const std::exception& error) {
      EXPECT_NE(std::string(error.what()).find("stage3_max_live_parameters"), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("p2"), std::string::npos) << error.what();
    }
    EXPECT_EQ(second.sum(2), 96.0F) << "the failed operator left nothing in use";
  });
}

TEST(Binder, PinnedUnitsKeepTheirSlotsUntilTheyAreUnpinned) {
  run_on_ranks(2, [](RankContext& context) {
    Bench bench(context, {32, 32, 32, 32});
    const tensor::Touch pin{0, false};
    bench.binder->pin({&pin, 1});
    EXPECT_EQ(bench.binder->statistics().gathers, 1) << "a pin is a use";
    for (const int index : {1, 2, 3}) bench.sum(index);
    EXPECT_TRUE(bench.binder->is_bound(0));
    EXPECT_EQ(bench.binder->statistics().grown_slots, 0);
    bench.binder->unpin({&pin, 1});
    bench.binder->unpin({&pin, 1});  // one too many is passed over
    for (const int index : {1, 2}) bench.sum(index);
    EXPECT_FALSE(bench.binder->is_bound(0));
  });
}

TEST(Binder, WhatAGraphWroteBetweenPinAndUnpinReachesTheShards) {
  run_on_ranks(2, [](RankContext& context) {
    const at::NoGradGuard no_grad;
    Bench bench(context, {32, 32, 32});
    const tensor::Touch pin{0, true};
    bench.binder->pin({&pin, 1});
    std::fill_n(bench.model.parameters[0].tensor.data_ptr<float>(), 32, 5.0F);  // no operator sees it
    bench.binder->unpin({&pin, 1});
    bench.binder->invalidate();
    EXPECT_EQ(bench.sum(0), 5.0F * 32);
  });
}

TEST(Binder, PinsOfAGraphThatThrewFallAtTheNextPassAndBeforeWeightsChange) {
  run_on_ranks(2, [](RankContext& context) {
    Bench bench(context, {32, 32, 32, 32});
    const tensor::Touch pin{0, false};
    bench.binder->pin({&pin, 1});
    bench.pass({1, 2, 3});
    EXPECT_FALSE(bench.binder->is_bound(0));
    bench.binder->pin({&pin, 1});
    bench.binder->invalidate();
    EXPECT_FALSE(bench.binder->is_bound(0));
    bench.binder->unpin({&pin, 1});  // it comes late and changes nothing
    bench.pass({0, 1, 2, 3});
    EXPECT_EQ(bench.binder->statistics().grown_slots, 0);
  });
}

TEST(Binder, WhatIsWrittenReachesTheShards) {
  run_on_ranks(2, [](RankContext& context) {
    const at::NoGradGuard no_grad;
    Bench bench(context, {32, 32, 32});
    bench.model.parameters[0].tensor.fill_(7.0);
    bench.model.parameters[1].tensor.detach().view({2, 16}).mul_(10.0);
    bench.binder->write_back();
    EXPECT_EQ(bench.store->units()[0].lanes[0].owned_parameters.min().item<float>(), 7.0F);
    EXPECT_EQ(bench.store->units()[1].lanes[0].owned_parameters.max().item<float>(), 20.0F);
    bench.model.parameters[2].tensor.add_(1.0);
    bench.sum(0);  // another unit takes the slot
    bench.sum(1);
    bench.binder->invalidate();
    EXPECT_EQ(bench.sum(2), 4.0F * 32);
    EXPECT_EQ(bench.sum(0), 7.0F * 32);
  });
}

TEST(Binder, HeldParametersAreWholeAndRankZerosChangesReachAll) {
  run_on_ranks(2, [](RankContext& context) {
    const at::NoGradGuard no_grad;
    Bench bench(context, {32, 32, 32});
    bench.binder->hold({0, 2});
    EXPECT_EQ(static_cast<const float*>(bench.model.parameters[0].tensor.data_ptr())[31], 1.0F);
    if (context.rank() == 0) bench.model.parameters[0].tensor.fill_(5.0);
    bench.sum(1);
    bench.binder->hold({0});
    bench.binder->let_go({0}, -1);
    bench.binder->let_go({0, 2}, 0);
    EXPECT_EQ(bench.sum(0), 5.0F * 32);
    EXPECT_EQ(bench.sum(2), 3.0F * 32);
    bench.binder->invalidate();
    EXPECT_ANY_THROW((void)bench.model.parameters[0].tensor.data_ptr());
    EXPECT_EQ(bench.sum(0), 5.0F * 32);
  });
}

TEST(Binder, MoreUnitsThanSlotsAreHeldBeforeAnythingWasUsed) {
  run_on_ranks(2, [](RankContext& context) {
    Bench bench(context, {32, 32, 32, 32});
    bench.binder->hold({0, 1, 2, 3});
    for (int index = 0; index < 4; ++index) EXPECT_EQ(bench.sum(index), static_cast<float>((index + 1) * 32));
    bench.binder->let_go({0, 1, 2, 3}, -1);
    EXPECT_EQ(bench.binder->statistics().grown_slots, 0);
  });
}

TEST(Binder, AReplacedParameterIsCutIntoShardsAgain) {
  run_on_ranks(2, [](RankContext& context) {
    Bench bench(context, {32, 32});
    bench.model.parameters[1].tensor.set_data(at::full({32}, 9.0));
    bench.binder->reattach();
    bench.binder->invalidate();
    EXPECT_ANY_THROW((void)bench.model.parameters[1].tensor.data_ptr());
    EXPECT_EQ(bench.sum(1), 9.0F * 32);
  });
}

TEST(Binder, RestoreMakesEveryParameterOrdinaryAndDestructionNamesThem) {
  run_on_ranks(2, [](RankContext& context) {
    Bench bench(context, {32, 32, 32});
    bench.binder->restore();
    for (int index = 0; index < 3; ++index) {
      const at::Tensor& tensor = bench.model.parameters[index].tensor;
      EXPECT_FALSE(tensor::is_watched(tensor));
      EXPECT_EQ(static_cast<const float*>(tensor.data_ptr())[31], static_cast<float>(index + 1));
    }
    Bench gone(context, {32});
    gone.binder.reset();
    try {
      (void)gone.sum(0);
      ADD_FAILURE() << "expected an error";
    } catch (const std::exception& error) {
      EXPECT_NE(std::string(error.what()).find("p0"), std::string::npos) << error.what();
    }
  });
}

TEST(Binder, SmallUnitsStayWhole) {
  run_on_ranks(2, [](RankContext& context) {
    Options options = sharded();
    options.persistence_threshold = 33;
    Bench bench(context, {32, 64}, options);
    EXPECT_FALSE(bench.store->units()[0].released);
    EXPECT_TRUE(bench.store->units()[1].released);
    EXPECT_EQ(static_cast<const float*>(bench.model.parameters[0].tensor.data_ptr())[0], 1.0F);
  });
}

}  // namespace
}  // namespace deepspeed::zero
