#include "zero/lane_store.h"

#include <gtest/gtest.h>

#include "comm/factory.h"
#include "deepspeed/error.h"
#include "support/ranks.h"
#include "zero/small_model.h"

namespace deepspeed::zero {
namespace {

using deepspeed::testing::RankContext;
using deepspeed::testing::run_on_ranks;
using testing::NotingCommunicator;
using testing::SmallModel;

Options stage(int number) {
  Options options;
  options.lifetimes = plan::stage_lifetimes(number);
  return options;
}

TEST(LaneStore, ParametersLieInTheirLanesAndGetOrdinaryStoragesBack) {
  NotingCommunicator data;
  SmallModel model({5, 3});
  const auto store = model.make_store(stage(0), data);
  for (int index = 0; index < 2; ++index) {
    const Location& where = store->location(index);
    const at::Tensor lane = store->units()[where.unit].lanes[where.lane].parameters;
    EXPECT_EQ(model.parameters[index].tensor.data_ptr(), lane.data_ptr<float>() + where.range.begin);
    EXPECT_EQ(model.parameters[index].tensor[0].item<float>(), static_cast<float>(index + 1));
  }
  store->release_parameters();
  EXPECT_EQ(model.parameters[0].tensor.storage().nbytes(), 5 * sizeof(float));
  EXPECT_EQ(model.parameters[0].tensor[4].item<float>(), 1.0F);
}

TEST(LaneStore, EveryRankStartsWithRankZerosValuesAndMastersFromBeforeTheCast) {
  run_on_ranks(3, [](RankContext& context) {
    const auto data = comm::make_communicator(context.new_group(), at::kCPU);
    at::Tensor tensor = at::full({100}, 1.0001 + context.rank()).requires_grad_(true);
    const std::vector<plan::ParameterInfo> infos = {
        {.name = "w", .numel = 100, .dtype = core::Dtype::kBFloat16, .trainable = true, .group = 0}};
    Options options = stage(2);
    options.compute_dtype = core::Dtype::kBFloat16;
    const LaneStore store({{"w", tensor, 0}}, {plan::lay_out_unit("w", {0}, infos, 3)}, options, {}, *data);
    EXPECT_EQ(tensor.scalar_type(), at::kBFloat16);
    EXPECT_EQ(tensor[99].item<float>(), 1.0F);
    const LaneBuffers& lane = store.units()[0].lanes[0];
    const plan::Range mine = plan::intersect({0, 100}, lane.owned);
    EXPECT_FLOAT_EQ(lane.master[0].item<float>(), mine.empty() ? 0.0F : 1.0001F);
    EXPECT_EQ(lane.owned.numel() * 3, lane.plan.numel);
  });
}

TEST(LaneStore, AReplacedParameterMovesBackAndAResizedOneIsNamed) {
  NotingCommunicator data;
  SmallModel model({4});
  const auto store = model.make_store(stage(1), data);
  at::Tensor& parameter = store->parameters()[0].tensor;
  const at::NoGradGuard no_grad;
  parameter.set_data(at::full({4}, 9.0));
  store->reattach_parameters();
  EXPECT_EQ(store->units()[0].lanes[0].parameters[3].item<float>(), 9.0F);
  EXPECT_EQ(parameter.data_ptr(), store->units()[0].lanes[0].parameters.data_ptr());
  parameter.set_data(at::zeros({6}));
  try {
    store->reattach_parameters();
    ADD_FAILURE() << "expected ValueError";
  } catch (const ValueError& error) {
    EXPECT_NE(std::string(error.what()).find("p0"), std::string::npos) << error.what();
  }
  parameter.set_data(at::zeros({4}));
}

TEST(LaneStore, Float64IsRefusedByName) {
  NotingCommunicator data;
  at::Tensor tensor = at::zeros({4}, at::kDouble).requires_grad_(true);
  const std::vector<plan::ParameterInfo> infos = {
      {.name = "w", .numel = 4, .dtype = core::Dtype::kFloat64, .trainable = true, .group = 0}};
  EXPECT_THROW(LaneStore({{"w", tensor, 0}}, {plan::lay_out_unit("w", {0}, infos, 1)}, stage(0), {}, data),
               NotSupported);
}

}  // namespace
}  // namespace deepspeed::zero
