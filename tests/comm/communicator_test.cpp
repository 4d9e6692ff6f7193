// The conformance suite of communicators: over messages (real Gloo), over shared memory, and over both as on two hosts.
#include "comm/communicator.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

#include "comm/factory.h"
#include "deepspeed/error.h"
#include "support/ranks.h"

namespace deepspeed::comm {
namespace {

using testing::RankContext;

constexpr Tag kTag{.step = 3, .phase = Phase::kUser, .unit = -1, .name = "a test"};

at::Tensor values_of(int rank, int64_t numel, c10::ScalarType type = at::kFloat) {
  at::manual_seed(rank + 1);
  return at::randn({numel}).to(type);
}

/// How the ranks are connected.
enum class Link { kShared, kMessages, kTwoHosts };

struct Case {
  int world;
  Link link;
};

std::string host_of(int rank, Link link) {
  if (link == Link::kMessages) return "";
  return link == Link::kShared ? "here" : concat("host", rank % 2);
}

std::unique_ptr<Communicator> connect(RankContext& context, Link link) {
  return make_communicator(context.new_group(), at::kCPU, host_of(context.rank(), link));
}

/// In float32 at least; on two hosts each host's sum is rounded before it travels.
at::Tensor sum_of(int world, Link link, int64_t numel, c10::ScalarType type) {
  const c10::ScalarType wide = type == at::kDouble ? at::kDouble : at::kFloat;
  const auto add_up = [&](int first, int step) {
    at::Tensor sum = values_of(first, numel, type).to(wide);
    for (int rank = first + step; rank < world; rank += step) sum = sum + values_of(rank, numel, type).to(wide);
    return sum;
  };
  if (link != Link::kTwoHosts || world < 4) return add_up(0, 1);
  return add_up(0, 2).to(type).to(wide) + add_up(1, 2).to(type).to(wide);
}

class CommunicatorTest : public ::testing::TestWithParam<Case> {};

TEST_P(CommunicatorTest, ReduceScatterAddsInRankOrderOnTheOwnersPart) {
  const auto [world, link] = GetParam();
  testing::run_on_ranks(world, [link = link](RankContext& context) {
    const auto communicator = connect(context, link);
    for (const c10::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
      for (const int64_t part : {1, 7, 20'000}) {
        const int64_t numel = part * context.world();
        at::Tensor lane = values_of(context.rank(), numel, type);
        communicator->reduce_scatter(lane, 0.25, type, kTag).wait();
        const at::Tensor expected = sum_of(context.world(), link, numel, type).mul(0.25).to(type);
        const auto own = [&](const at::Tensor& whole) { return whole.narrow(0, context.rank() * part, part); };
        EXPECT_TRUE(at::equal(own(lane), own(expected))) << c10::toString(type) << ", " << part;
      }
    }
  });
}

TEST_P(CommunicatorTest, AllGatherRightAfterReduceScatterSendsTheSums) {
  const auto [world, link] = GetParam();
  testing::run_on_ranks(world, [link = link](RankContext& context) {
    const auto communicator = connect(context, link);
    const int64_t numel = 50'000 * context.world();
    std::vector<at::Tensor> lanes;
    std::vector<Work> works;
    for (int i = 0; i < 5; ++i) {
      lanes.push_back(at::full({numel}, context.rank() + 1.0 + i));
      works.push_back(communicator->reduce_scatter(lanes.back(), 1.0, at::kFloat, kTag));
      works.push_back(communicator->all_gather(lanes.back(), kTag));
    }
    for (Work& work : works) work.wait();
    for (int i = 0; i < 5; ++i) {
      const double sum = context.world() * (context.world() + 1) / 2.0 + i * context.world();
      EXPECT_TRUE(at::equal(lanes[i], at::full({numel}, sum)));
    }
  });
}

TEST_P(CommunicatorTest, LanesOfOneLaunchAreIndependent) {
  const auto [world, link] = GetParam();
  testing::run_on_ranks(world, [link = link](RankContext& context) {
    const auto communicator = connect(context, link);
    const std::vector<int64_t> parts = {5, 30'000, 1};
    std::vector<at::Tensor> lanes;
    for (size_t i = 0; i < parts.size(); ++i)
      lanes.push_back(at::full({parts[i] * context.world()}, context.rank() + 10.0 * static_cast<double>(i)));
    for (int turn = 0; turn < 2; ++turn) {  // sums of sums: the second turn finds the first one's results
      communicator->reduce_scatter(lanes, 0.5, at::kFloat, kTag);
      communicator->all_gather(lanes, kTag).wait();
    }
    const double world = context.world();
    for (size_t i = 0; i < parts.size(); ++i) {
      const double first = 0.5 * (world * (world - 1) / 2 + 10.0 * static_cast<double>(i) * world);
      const double last = 0.5 * first * world;
      EXPECT_EQ(lanes[i].min().item<double>(), last) << "lane " << i;
      EXPECT_EQ(lanes[i].max().item<double>(), last) << "lane " << i;
    }
  });
}

TEST_P(CommunicatorTest, NarrowWireRoundsOnlyReceivedParts) {
  const auto [world, link] = GetParam();
  testing::run_on_ranks(world, [link = link](RankContext& context) {
    const auto communicator = connect(context, link);
    const int64_t part = 300;
    at::Tensor lane = values_of(context.rank(), part * context.world());
    communicator->reduce_scatter(lane, 1.0, at::kBFloat16, kTag).wait();
    if (link == Link::kTwoHosts) return;  // what one host's sum loses on its way to the other is not said
    at::Tensor sum = at::zeros({part});
    for (int rank = 0; rank < context.world(); ++rank) {
      const at::Tensor theirs = values_of(rank, part * context.world()).narrow(0, context.rank() * part, part);
      sum = sum + (rank == context.rank() ? theirs : theirs.to(at::kBFloat16).to(at::kFloat));
    }
    EXPECT_TRUE(at::equal(lane.narrow(0, context.rank() * part, part), sum));
  });
}

TEST_P(CommunicatorTest, SmallCollectives) {
  const auto [world, link] = GetParam();
  testing::run_on_ranks(world, [link = link](RankContext& context) {
    const auto communicator = connect(context, link);
    const at::Tensor sum = at::full({3}, context.rank() + 1.0, at::kDouble);
    communicator->all_reduce(sum, 2.0, kTag).wait();
    EXPECT_EQ(sum[0].item<double>(), context.world() * (context.world() + 1.0));
    const at::Tensor number = at::full({2}, 10 + context.rank(), at::kLong);
    communicator->broadcast(number, context.world() - 1, kTag).wait();
    EXPECT_EQ(number[1].item<int64_t>(), 10 + context.world() - 1);
    const std::vector<std::string> texts = communicator->all_gather_strings(std::string(context.rank() * 5, 'x'), kTag);
    for (int rank = 0; rank < context.world(); ++rank) EXPECT_EQ(texts.at(rank), std::string(rank * 5, 'x'));
    EXPECT_EQ(communicator->broadcast_string(context.rank() == 0 ? "from zero" : "other", 0, kTag), "from zero");
    communicator->barrier(kTag);
  });
}

INSTANTIATE_TEST_SUITE_P(Worlds, CommunicatorTest,
                         ::testing::Values(Case{1, Link::kShared}, Case{2, Link::kShared}, Case{3, Link::kShared},
                                           Case{5, Link::kShared}, Case{2, Link::kMessages}, Case{3, Link::kMessages},
                                           Case{5, Link::kMessages}, Case{4, Link::kTwoHosts},
                                           Case{6, Link::kTwoHosts}));

class CommunicatorFaultTest : public ::testing::TestWithParam<Link> {};
INSTANTIATE_TEST_SUITE_P(Links, CommunicatorFaultTest, ::testing::Values(Link::kShared, Link::kMessages));

TEST_P(CommunicatorFaultTest, AfterADeathEveryWaitFailsAtOnceAndNamesTheCollective) {
  const Link link = GetParam();
  testing::run_on_ranks(3, [link](RankContext& context) {
    const auto communicator = connect(context, link);
    communicator->barrier(kTag);
    if (context.rank() == 2) ::_exit(0);
    const at::Tensor lane = at::ones({300});
    for (int i = 0; i < 2; ++i) {
      try {
        communicator
            ->reduce_scatter(lane, 1.0, at::kFloat, {.step = 9, .phase = Phase::kReduce, .unit = 4, .name = "layers.4"})
            .wait();
        ADD_FAILURE() << "expected CommError";
      } catch (const CommError& error) {
        EXPECT_NE(std::string(error.what()).find("gradient reduction of layers.4 in step 9"), std::string::npos)
            << error.what();
      }
    }
  });
}

TEST_P(CommunicatorFaultTest, NobodyElseHoldsTheBuffersOnceWaitReturns) {
  const Link link = GetParam();
  testing::run_on_ranks(2, [link](RankContext& context) {
    const auto communicator = connect(context, link);
    for (int round = 0; round < 200; ++round) {
      const at::Tensor lane = at::ones({64});
      communicator->reduce_scatter(lane, 1.0, at::kFloat, kTag).wait();
      ASSERT_EQ(lane.storage().use_count(), 1) << "round " << round;
      communicator->all_gather(lane, kTag).wait();
      ASSERT_EQ(lane.storage().use_count(), 1) << "round " << round;
    }
  });
}

// Equal sizes would be added silently, different ones would end the process.
TEST_P(CommunicatorFaultTest, RanksThatDisagreeAllGetBothSidesNamesAtOnce) {
  const Link link = GetParam();
  for (const int64_t other_numel : {300, 3000}) {
    testing::run_on_ranks(3, [&](RankContext& context) {
      const auto communicator = connect(context, link);
      communicator->barrier(kTag);
      const bool odd = context.rank() == 1;
      const at::Tensor lane = at::ones({odd ? other_numel : 300});
      const Tag tag{.step = 9, .phase = Phase::kGather, .unit = 4, .name = odd ? "right" : "left"};
      const auto start = std::chrono::steady_clock::now();
      for (int turn = 0; turn < 2; ++turn) {
        try {
          communicator->all_gather(lane, tag).wait();
          ADD_FAILURE() << "expected CommError";
        } catch (const CommError& error) {
          const std::string text = error.what();
          EXPECT_NE(text.find("parameter gather of left in step 9"), std::string::npos) << text;
          EXPECT_NE(text.find("parameter gather of right in step 9"), std::string::npos) << text;
        }
      }
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
      EXPECT_EQ(lane.sum().item<float>(), static_cast<float>(lane.numel())) << "nothing was mixed in";
    });
  }
}

TEST_P(CommunicatorFaultTest, RanksThatMeanDifferentRootsDisagree) {
  const Link link = GetParam();
  testing::run_on_ranks(2, [link](RankContext& context) {
    const auto communicator = connect(context, link);
    const at::Tensor values = at::ones({3});
    try {
      communicator->broadcast(values, context.rank(), kTag).wait();
      ADD_FAILURE() << "expected CommError";
    } catch (const CommError& error) {
      const std::string text = error.what();
      EXPECT_NE(text.find("from rank 0"), std::string::npos) << text;
      EXPECT_NE(text.find("from rank 1"), std::string::npos) << text;
    }
  });
}

TEST_P(CommunicatorFaultTest, AForkedChildIsRefused) {
  const Link link = GetParam();
  testing::run_on_ranks(2, [link](RankContext& context) {
    const auto communicator = connect(context, link);
    communicator->barrier(kTag);
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        communicator->barrier(kTag);
      } catch (const CommError&) {
        ::_exit(7);
      }
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 7);
    communicator->barrier(kTag);
  });
}

// The exchange's thread waits in the parent only: in a child there is nobody to stop, and nothing may be waited for.
TEST_P(CommunicatorFaultTest, AForkedChildLetsItGoAndExits) {
  const Link link = GetParam();
  testing::run_on_ranks(2, [link](RankContext& context) {
    auto communicator = connect(context, link);
    communicator->barrier(kTag);
    const pid_t child = ::fork();
    if (child == 0) {
      ::signal(SIGALRM, SIG_DFL);
      ::alarm(10);
      communicator.reset();
      std::exit(7);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status)) << "the child hung, signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 7);
    communicator->barrier(kTag);
  });
}

}  // namespace
}  // namespace deepspeed::comm
