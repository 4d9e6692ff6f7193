// The torch.distributed backend without Python; its conformance suite beside Gloo is tests/python/collectives_cases.py.
#include "comm/shared_memory_backend.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <chrono>
#include <cstdlib>
#include <vector>

#include "deepspeed/detail/shared_memory_backend.h"
#include "deepspeed/error.h"
#include "support/ranks.h"

namespace deepspeed::comm {
namespace {

using testing::RankContext;

c10::intrusive_ptr<c10d::Backend> make_backend(RankContext& context) {
  return detail::make_shared_memory_backend(context.new_group()->getStore(), context.rank(), context.world(),
                                            std::chrono::seconds(60));
}

TEST(SharedMemoryBackend, RanksOfOneHostShareMemoryAndAddInRankOrder) {
  testing::run_on_ranks(3, [](RankContext& context) {
    const auto backend = make_backend(context);
    ASSERT_EQ(backend->getBackendName(), "shm");
    for (const int64_t numel : {0, 3, 100'000}) {
      std::vector<at::Tensor> values{at::full({numel}, context.rank() + 1.0)};
      const auto work = backend->allreduce(values);
      EXPECT_TRUE(work->wait());
      EXPECT_TRUE(at::equal(values[0], at::full({numel}, 6.0)));
    }
    EXPECT_EQ(backend->getSequenceNumberForGroup(), 3);
  });
}

TEST(SharedMemoryBackend, AFutureEndsThoughNobodyWaitsInTheWork) {
  testing::run_on_ranks(2, [](RankContext& context) {
    const auto backend = make_backend(context);
    std::vector<at::Tensor> values{at::full({50'000}, context.rank() + 1.0)};
    const auto future = backend->allreduce(values)->getFuture();
    future->wait();
    EXPECT_EQ(future->constValue().toTensorVector()[0][49'999].item<float>(), 3.0F);
  });
}

// The results of such tensors are made beside them and copied by the exchange's thread, which has nobody to throw to.
TEST(SharedMemoryBackend, TensorsWithHolesAreWrittenInInferenceModeToo) {
  testing::run_on_ranks(2, [](RankContext& context) {
    const auto backend = make_backend(context);
    const c10::InferenceMode inference;
    std::vector<at::Tensor> values{at::full({50'000, 2}, context.rank() + 1.0).select(1, 0)};
    const auto work = backend->allreduce(values);
    work->getFuture()->wait();
    EXPECT_TRUE(work->wait());
    EXPECT_TRUE(at::equal(values[0], at::full({50'000}, 3.0)));
  });
}

TEST(SharedMemoryBackend, ExpandedTensorsCannotBeWritten) {
  testing::run_on_ranks(2, [](RankContext& context) {
    const auto backend = make_backend(context);
    std::vector<at::Tensor> values{at::ones({1}).expand({50'000})};
    EXPECT_THROW(backend->allreduce(values), ValueError);
    EXPECT_THROW(backend->recv(values, 1 - context.rank(), 0), ValueError);
    std::vector<at::Tensor> whole{at::zeros({2 * 50'000})};
    EXPECT_TRUE(backend->_allgather_base(whole[0], values[0])->wait()) << "but read";
    EXPECT_TRUE(at::equal(whole[0], at::ones({2 * 50'000})));
  });
}

TEST(SharedMemoryBackend, NegativeSplitSizesAreAnError) {
  testing::run_on_ranks(2, [](RankContext& context) {
    const auto backend = make_backend(context);
    at::Tensor input = at::ones({2});
    at::Tensor output = at::zeros({2});
    std::vector<int64_t> splits{-1, 3};
    EXPECT_THROW(backend->alltoall_base(output, input, splits, splits), ValueError);
  });
}

TEST(SharedMemoryBackend, WhatIsLaunchedAfterTheEndIsAnError) {
  testing::run_on_ranks(2, [](RankContext& context) {
    const auto backend = make_backend(context);
    std::vector<at::Tensor> values{at::ones({50'000})};
    const auto work = backend->allreduce(values);
    backend->shutdown();
    EXPECT_TRUE(work->isCompleted() && work->isSuccess());
    EXPECT_THROW(backend->allreduce(values), CommError);
  });
}

TEST(SharedMemoryBackend, RanksThatMayNotShareMemoryAllHaveGloo) {
  testing::run_on_ranks(2, [](RankContext& context) {
    if (context.rank() == 1) {
      ASSERT_EQ(::setenv("DEEPSPEED_SHARED_MEMORY", "0", 1), 0);
    }
    const auto backend = make_backend(context);
    EXPECT_EQ(backend->getBackendName(), "gloo");
    std::vector<at::Tensor> values{at::ones({5})};
    backend->allreduce(values)->wait();
    EXPECT_TRUE(at::equal(values[0], at::full({5}, 2.0)));
  });
}

TEST(SharedMemoryBackend, OneStoreServesGroupsThatFollowEachOther) {
  testing::run_on_ranks(2, [](RankContext& context) {
    const auto store = context.new_group()->getStore();
    for (int time = 0; time < 3; ++time) {
      const auto backend =
          detail::make_shared_memory_backend(store, context.rank(), context.world(), std::chrono::seconds(60));
      backend->barrier()->wait();
    }
  });
}

}  // namespace
}  // namespace deepspeed::comm
