// torch.distributed's backend over several hosts, which are pretended here; tests/hosts has real ones.
#include "comm/several_hosts_backend.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "comm/shared_memory_group.h"
#include "deepspeed/error.h"
#include "support/error_message.h"
#include "support/ranks.h"

namespace deepspeed::comm {
namespace {

using test::message_of;
using testing::RankContext;
using Tensors = std::vector<at::Tensor>;

constexpr int kRanks = 4;

c10::intrusive_ptr<c10d::Backend> make_backend(RankContext& context, const std::string& host,
                                               std::chrono::milliseconds timeout = std::chrono::seconds(60)) {
  return make_shared_memory_group(context.new_group()->getStore(), context.rank(), context.world(), timeout, host);
}

/// Ranks 0 and 2 on one host, 1 and 3 on the other: numbers of ranks and of hosts are mixed up easily.
c10::intrusive_ptr<c10d::Backend> make_on_two_hosts(RankContext& context) {
  return make_backend(context, context.rank() % 2 == 0 ? "even" : "odd");
}

void on_two_hosts(const std::function<void(RankContext&, c10d::Backend&)>& body) {
  testing::run_on_ranks(kRanks, [&](RankContext& context) {
    const auto backend = make_on_two_hosts(context);
    ASSERT_EQ(backend->getBackendName(), "shm");
    body(context, *backend);
    backend->shutdown();
  });
}

/// Rank `of`'s: small whole numbers, whose sums are exact in every type.
at::Tensor values(int of, int64_t numel, at::ScalarType type = at::kFloat) {
  return at::arange(numel, at::kLong).mul(3).add(of).remainder(5).to(type);
}

at::Tensor sum_of_all(int64_t numel, at::ScalarType type = at::kFloat) {
  at::Tensor sum = at::zeros({numel}, type);
  for (int rank = 0; rank < kRanks; ++rank) sum += values(rank, numel, type);
  return sum;
}

TEST(SeveralHostsBackend, SumsAndMeansOfEveryTypeAndLength) {
  on_two_hosts([](RankContext& context, c10d::Backend& backend) {
    for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kLong, at::kInt}) {
      for (const int64_t numel : {0, 1, 7, 20'000, 100'003}) {
        Tensors sum{values(context.rank(), numel, type)};
        EXPECT_TRUE(backend.allreduce(sum)->wait());
        EXPECT_TRUE(at::equal(sum[0], sum_of_all(numel, type))) << c10::toString(type) << " " << numel;
      }
    }
    Tensors mean{values(context.rank(), 40'000)};
    c10d::AllreduceOptions options;
    options.reduceOp = c10d::ReduceOp::AVG;
    backend.allreduce(mean, options)->wait();
    EXPECT_TRUE(at::equal(mean[0], sum_of_all(40'000) / kRanks));
    Tensors most{values(context.rank(), 10)};
    options.reduceOp = c10d::ReduceOp::MAX;
    backend.allreduce(most, options)->wait();
    EXPECT_EQ(most[0].max().item<float>(), 4.0F);
  });
}

TEST(SeveralHostsBackend, AfterAnAbortNobodyIsWaitedFor) {
  testing::run_on_ranks(kRanks, [](RankContext& context) {
    auto backend = make_on_two_hosts(context);
    const auto store = context.new_group()->getStore();
    if (context.rank() == 0) {
      Tensors sum{values(0, 100'000)};
      auto work = backend->allreduce(sum);  // the others never come
      const auto start = std::chrono::steady_clock::now();
      backend->abort();
      EXPECT_NE(message_of<std::exception>([&] { work->wait(); }).find("aborted"), std::string::npos);
      work.reset();
      backend.reset();  // as torch's own abort of a group does: no shutdown
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
      store->set("rank 0 has left", std::string("yes"));
    } else {
      store->wait({"rank 0 has left"});
      backend->abort();
      backend->shutdown();
    }
  });
}

TEST(SeveralHostsBackend, WhatIsNotContiguousGetsItsResultToo) {
  on_two_hosts([](RankContext& context, c10d::Backend& backend) {
    const at::Tensor whole = at::zeros({300, 202});
    Tensors every_other{whole.slice(1, 0, 202, 2)};
    every_other[0].copy_(values(context.rank(), 300 * 101).view({300, 101}));
    backend.allreduce(every_other)->wait();
    EXPECT_TRUE(at::equal(every_other[0].reshape(-1), sum_of_all(300 * 101)));
    EXPECT_TRUE(at::equal(whole.slice(1, 1, 202, 2), at::zeros({300, 101})));
  });
}

TEST(SeveralHostsBackend, GathersOfEveryKindAreInRankOrder) {
  on_two_hosts([](RankContext& context, c10d::Backend& backend) {
    for (const int64_t numel : {1, 5'001}) {
      for (const at::ScalarType type : {at::kFloat, at::kBool, at::kComplexFloat}) {
        Tensors expected;
        for (int rank = 0; rank < kRanks; ++rank) expected.push_back(values(rank, numel, type));
        at::Tensor input = expected[context.rank()];
        at::Tensor output = at::empty({kRanks * numel}, type);
        backend._allgather_base(output, input)->wait();
        EXPECT_TRUE(at::equal(output, at::cat(expected)));
        at::Tensor in_place = at::zeros({kRanks * numel}, type);
        at::Tensor own = in_place.narrow(0, context.rank() * numel, numel);
        own.copy_(input);
        backend._allgather_base(in_place, own)->wait();
        EXPECT_TRUE(at::equal(in_place, output));
        std::vector<Tensors> lists(1);
        for (int rank = 0; rank < kRanks; ++rank) lists[0].push_back(at::empty({numel}, type));
        Tensors inputs{input};
        backend.allgather(lists, inputs)->wait();
        for (int rank = 0; rank < kRanks; ++rank) EXPECT_TRUE(at::equal(lists[0][rank], expected[rank]));
      }
    }
  });
}

TEST(SeveralHostsBackend, ReduceScattersLeaveTheirInputAlone) {
  on_two_hosts([](RankContext& context, c10d::Backend& backend) {
    constexpr int64_t kOwn = 30'001;
    at::Tensor input = values(context.rank(), kRanks * kOwn);
    const at::Tensor before = input.clone();
    const at::Tensor expected = sum_of_all(kRanks * kOwn).narrow(0, context.rank() * kOwn, kOwn);
    at::Tensor output = at::empty({kOwn});
    backend._reduce_scatter_base(output, input)->wait();
    EXPECT_TRUE(at::equal(output, expected) && at::equal(input, before));
    Tensors outputs{at::empty({kOwn})};
    std::vector<Tensors> lists{input.view({kRanks, kOwn}).unbind()};
    backend.reduce_scatter(outputs, lists)->wait();
    EXPECT_TRUE(at::equal(outputs[0], expected) && at::equal(input, before));
  });
}

TEST(SeveralHostsBackend, BroadcastsFromEveryRankAndManyAtOnce) {
  on_two_hosts([](RankContext& context, c10d::Backend& backend) {
    std::vector<Tensors> sent;
    std::vector<c10::intrusive_ptr<c10d::Work>> works;
    for (int root = 0; root < kRanks; ++root) {
      sent.push_back({values(context.rank(), 50'000, at::kShort)});
      c10d::BroadcastOptions options;
      options.rootRank = root;
      works.push_back(backend.broadcast(sent.back(), options));
    }
    works.back()->wait();
    for (int root = 0; root < kRanks; ++root) {
      EXPECT_TRUE(works[root]->isCompleted() && works[root]->isSuccess());
      EXPECT_TRUE(at::equal(sent[root][0], values(root, 50'000, at::kShort)));
    }
  });
}

TEST(SeveralHostsBackend, MessagesAndWhatIsRareGoOverGloo) {
  on_two_hosts([](RankContext& context, c10d::Backend& backend) {
    Tensors passed{values(context.rank(), 9)};
    Tensors taken{at::empty({9})};
    const auto sending = backend.send(passed, (context.rank() + 1) % kRanks, 0);
    const int from = (context.rank() + kRanks - 1) % kRanks;
    backend.recv(taken, from, 0)->wait();
    sending->wait();
    EXPECT_TRUE(at::equal(taken[0], values(from, 9)));
    backend.barrier()->wait();
  });
}

TEST(SeveralHostsBackend, AFutureHasTheResultAndItsCallbackMayLaunch) {
  on_two_hosts([](RankContext& context, c10d::Backend& backend) {
    Tensors first{values(context.rank(), 50'000)};
    Tensors second{values(context.rank(), 3)};
    std::atomic<bool> is_launched{false};
    c10::intrusive_ptr<c10d::Work> then;
    const auto future = backend.allreduce(first)->getFuture();
    future->addCallback([&](c10::ivalue::Future&) {
      then = backend.allreduce(second);
      is_launched = true;
    });
    future->wait();
    EXPECT_TRUE(at::equal(future->constValue().toTensorVector()[0], sum_of_all(50'000)));
    while (!is_launched) std::this_thread::yield();
    then->wait();
    EXPECT_TRUE(at::equal(second[0], sum_of_all(3)));
  });
}

TEST(SeveralHostsBackend, ARankThatEndsIsAnErrorOnAllOthers) {
  testing::run_on_ranks(kRanks, [](RankContext& context) {
    const auto backend = make_on_two_hosts(context);
    Tensors tensors{values(context.rank(), 60'000)};
    backend->allreduce(tensors)->wait();
    if (context.rank() == 3) return;
    const auto start = std::chrono::steady_clock::now();
    EXPECT_THROW(backend->allreduce(tensors)->wait(), CommError);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
    EXPECT_THROW(backend->allreduce(tensors)->wait(), CommError);
  });
}

TEST(SeveralHostsBackend, AfterTheEndAndAfterAnAbortEverythingFails) {
  testing::run_on_ranks(kRanks, [](RankContext& context) {
    const auto ended = make_on_two_hosts(context);
    const auto aborted = make_on_two_hosts(context);
    Tensors tensors{values(context.rank(), 60'000)};
    const auto work = ended->allreduce(tensors);
    ended->shutdown();
    EXPECT_TRUE(work->isCompleted() && work->isSuccess());
    EXPECT_THROW(ended->allreduce(tensors), CommError);
    aborted->barrier()->wait();
    aborted->abort();
    EXPECT_NE(message_of([&] { aborted->allreduce(tensors)->wait(); }).find("aborted"), std::string::npos);
  });
}

TEST(SeveralHostsBackend, HostsOfOneRankOrOfUnlikeNumbersTalkOverGloo) {
  testing::run_on_ranks(3, [](RankContext& context) {
    EXPECT_EQ(make_backend(context, concat("host", context.rank()))->getBackendName(), "gloo");
    EXPECT_EQ(make_backend(context, context.rank() < 2 ? "two" : "one")->getBackendName(), "gloo");
    EXPECT_EQ(make_backend(context, "same")->getBackendName(), "shm");
  });
}

}  // namespace
}  // namespace deepspeed::comm
