// NCCL's path, over Gloo: what it leaves for after a collective, and in which order.
#include "comm/native_collectives.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "support/ranks.h"

namespace deepspeed::comm {
namespace {

using testing::RankContext;

constexpr Tag kTag{.step = 3, .phase = Phase::kReduce, .unit = -1, .name = "a test"};
constexpr int64_t kPart = 5'000;

at::Tensor own_part(const at::Tensor& lane, const RankContext& context) {
  return lane.narrow(0, context.rank() * kPart, kPart);
}

TEST(NativeCollectives, ScalesBeforeItAddsSoThatNarrowSumsDoNotOverflow) {
  testing::run_on_ranks(2, [](RankContext& context) {
    const auto communicator = make_native_collectives(context.new_group(), at::kCPU);
    for (const c10::ScalarType type : {at::kFloat, at::kHalf}) {
      const at::Tensor lane = at::full({2 * kPart}, 40'000.0, at::TensorOptions().dtype(type));
      communicator->reduce_scatter(lane, 0.5, at::kHalf, kTag).wait();
      EXPECT_TRUE(at::equal(own_part(lane, context), at::full({kPart}, 40'000.0, lane.options())))
          << c10::toString(type);
    }
  });
}

// Stage 0 launches the gather right behind the reduction: what wait() alone did would come too late for it.
TEST(NativeCollectives, AGatherRightBehindANarrowReductionSendsTheSums) {
  testing::run_on_ranks(2, [](RankContext& context) {
    const auto communicator = make_native_collectives(context.new_group(), at::kCPU);
    for (const c10::ScalarType wire : {at::kBFloat16, at::kHalf}) {
      const std::vector<at::Tensor> lanes = {at::full({2 * kPart}, context.rank() + 1.0),
                                             at::full({2 * kPart}, context.rank() + 3.0)};
      Work reduced = communicator->reduce_scatter(lanes, 0.5, wire, kTag);
      Work gathered = communicator->all_gather(lanes, kTag);
      gathered.wait();
      reduced.wait();
      EXPECT_TRUE(at::equal(lanes[0], at::full({2 * kPart}, 1.5))) << c10::toString(wire);
      EXPECT_TRUE(at::equal(lanes[1], at::full({2 * kPart}, 3.5))) << c10::toString(wire);
    }
  });
}

TEST(NativeCollectives, AReducedLaneIsCastBackByWaitAlone) {
  testing::run_on_ranks(2, [](RankContext& context) {
    const auto communicator = make_native_collectives(context.new_group(), at::kCPU);
    const at::Tensor lane = at::full({2 * kPart}, context.rank() + 1.0);
    Work work = communicator->reduce_scatter(lane, 0.5, at::kBFloat16, kTag);
    work.wait();
    work.wait();
    EXPECT_TRUE(at::equal(own_part(lane, context), at::full({kPart}, 1.5)));
    const at::Tensor sum = at::full({3}, context.rank() + 1.0, at::kDouble);
    communicator->all_reduce(sum, 2.0, kTag).wait();
    EXPECT_EQ(sum[0].item<double>(), 6.0);
  });
}

}  // namespace
}  // namespace deepspeed::comm
