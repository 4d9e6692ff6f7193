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
