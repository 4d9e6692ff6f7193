// Over the backend's own collectives (Gloo in NCCL's place): gathers of equal sizes that are not the same parameters.
#include "zero/gather_agreement.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>

#include "comm/direct_exchange.h"
#include "comm/launch_history.h"
#include "comm/native_collectives.h"
#include "deepspeed/error.h"
#include "support/ranks.h"

namespace deepspeed::zero {
namespace {

using testing::RankContext;

void gather(comm::Communicator& gathers, std::string_view name, int64_t step) {
  const at::Tensor lane = at::zeros({4});
  gathers.all_gather(lane, {.step = step, .phase = comm::Phase::kGather, .unit = 0, .name = name}).wait();
}

TEST(GatherAgreement, RanksThatGatherAlikeGoOn) {
  testing::run_on_ranks(2, [](RankContext& context) {
    const auto gathers = comm::make_native_collectives(context.new_group(), at::kCPU);
    const auto data = comm::make_native_collectives(context.new_group(), at::kCPU);
    GatherAgreement agreement(*gathers, *data);
    for (int64_t step = 0; step < 3; ++step) {
      gather(*gathers, "layers.0", step);
      EXPECT_NO_THROW(agreement.compare(step));
    }
    data->barrier({});
  });
}

TEST(GatherAgreement, OthersOfTheSameSizeAreAnErrorOnAllRanksAtTheNextBoundary) {
  testing::run_on_ranks(2, [](RankContext& context) {
    const auto gathers = comm::make_native_collectives(context.new_group(), at::kCPU);
    const auto data = comm::make_native_collectives(context.new_group(), at::kCPU);
    GatherAgreement agreement(*gathers, *data);
    gather(*gathers, "layers.0", 0);
    agreement.compare(0);
    gather(*gathers, context.rank() == 0 ? "expert.0" : "expert.1", 1);
    EXPECT_NO_THROW(agreement.compare(1));  // what step 0 gathered
    try {
      agreement.compare(2);
      ADD_FAILURE() << "expected an error";
    } catch (const CommError& error) {
      const std::string message = error.what();
      EXPECT_NE(message.find("rank 0 is at: parameter gather of expert.0 in step 1"), std::string::npos) << message;
      EXPECT_NE(message.find("rank 1 is at: parameter gather of expert.1 in step 1"), std::string::npos) << message;
    }
  });
}

TEST(GatherAgreement, AsksNothingOfABackendThatComparesItself) {
  testing::run_on_ranks(2, [](RankContext& context) {
    const auto gathers = comm::make_direct_exchange(context.new_group());
    const auto data = comm::make_native_collectives(context.new_group(), at::kCPU);
    GatherAgreement agreement(*gathers, *data);
    agreement.compare(0);
    EXPECT_EQ(data->history()->count(), 0);
    data->barrier({});  // a rank that ends before the other has connected would break its group
    gathers->barrier({});
  });
}

}  // namespace
}  // namespace deepspeed::zero
