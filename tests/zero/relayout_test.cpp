#include "zero/relayout.h"

#include <gtest/gtest.h>

#include "comm/factory.h"
#include "support/ranks.h"
#include "zero/small_model.h"

namespace deepspeed::zero {
namespace {

using deepspeed::testing::RankContext;
using deepspeed::testing::run_on_ranks;

/// Two parameters in one unit; `trainable` says which of them train.
std::unique_ptr<LaneStore> make_store(std::vector<tensor::NamedParameter> parameters, std::vector<bool> trainable,
                                      comm::Communicator& data) {
  std::vector<plan::ParameterInfo> infos;
  for (size_t i = 0; i < parameters.size(); ++i) {
    infos.push_back({.name = parameters[i].name,
                     .numel = parameters[i].tensor.numel(),
                     .dtype = core::Dtype::kFloat32,
                     .trainable = trainable[i],
                     .group = 0});
  }
  Options options;
  options.lifetimes = plan::stage_lifetimes(2);
  return std::make_unique<LaneStore>(parameters, std::vector{plan::lay_out_unit("block", {0, 1}, infos, data.size())},
                                     options, std::vector<optim::StateSpec>{{"exp_avg", 0.0}}, data);
}

TEST(Relayout, StateFollowsItsParameterIntoTheNewShards) {
  run_on_ranks(2, [](RankContext& context) {
    const auto data = comm::make_communicator(context.new_group(), at::kCPU);
    const std::vector<tensor::NamedParameter> parameters = {{"a", at::arange(40.0).to(at::kFloat).requires_grad_(), 0},
                                                            {"b", at::arange(70.0).to(at::kFloat).requires_grad_(), 0}};
    const auto from = make_store(parameters, {true, true}, *data);
    LaneBuffers& lane = from->units()[0].lanes[0];
    lane.states[0].copy_(at::arange(lane.owned.begin, lane.owned.end).to(at::kFloat));
    const int64_t begin_of_b = from->location(1).range.begin;
    const auto to = make_store(parameters, {false, true}, *data);
    relayout(*from, *to, *data);
    const Location& where = to->location(1);
    const LaneBuffers& target = to->units()[where.unit].lanes[where.lane];
    const plan::Range mine = plan::intersect(where.range, target.owned);
    ASSERT_FALSE(mine.empty());
    for (int64_t element = mine.begin; element < mine.end; ++element) {
      EXPECT_EQ(target.states[0][element - target.owned.begin].item<float>(),
                static_cast<float>(begin_of_b + element - where.range.begin));
    }
    EXPECT_EQ(parameters[1].tensor[69].item<float>(), 69.0F);
  });
}

}  // namespace
}  // namespace deepspeed::zero
