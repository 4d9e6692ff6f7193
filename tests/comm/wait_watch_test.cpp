// Waits that can never end, over real Gloo processes.
#include "comm/wait_watch.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <thread>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <vector>

#include "comm/factory.h"
#include "comm/rendezvous.h"
#include "deepspeed/detail/script_probe.h"
#include "deepspeed/error.h"
#include "support/ranks.h"

namespace deepspeed::comm {
namespace {

using testing::RankContext;

Tag gather_of(const char* name) { return {.step = 9, .phase = Phase::kGather, .unit = 4, .name = name}; }
Tag reduction_of(const char* name) { return {.step = 9, .phase = Phase::kReduce, .unit = 4, .name = name}; }

/// What a CommError says, which must come within five seconds.
std::string error_of(const std::function<void()>& action) {
  const auto start = std::chrono::steady_clock::now();
  std::string text;
  try {
    action();
    ADD_FAILURE() << "expected CommError";
  } catch (const CommError& error) {
    text = error.what();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5)) << text;
  return text;
}

void expect_in(const std::string& part, const std::string& text) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(WaitWatch, RanksInTwoCommunicatorsBothGetBothSides) {
  testing::run_on_ranks(2, [](RankContext& context) {
    const auto reductions = make_communicator(context.new_group(), at::kCPU);
    const auto gathers = make_communicator(context.new_group(), at::kCPU);
    reductions->barrier(reduction_of("all"));
    gathers->barrier(gather_of("all"));
    const at::Tensor lane = at::ones({300});
    const std::string text = error_of([&] {
      if (context.rank() == 0) gathers->all_gather(lane, gather_of("expert 3")).wait();
      if (context.rank() == 1) reductions->reduce_scatter(lane, 1.0, at::kFloat, reduction_of("layers.3")).wait();
    });
    expect_in(context.rank() == 0 ? "rank 0 of 2 waits in parameter gather of expert 3 in step 9, and rank 1 never "
                                    "comes: it waits in gradient reduction of layers.3 in step 9 for rank 0"
                                  : "rank 1 of 2 waits in gradient reduction of layers.3 in step 9, and rank 0 never "
                                    "comes: it waits in parameter gather of expert 3 in step 9 for rank 1",
              text);
    EXPECT_EQ(lane.storage().use_count(), 1) << "nobody else holds the buffers once wait() returns";
    const auto& broken = context.rank() == 0 ? *gathers : *reductions;
    error_of([&] { const_cast<Communicator&>(broken).barrier(gather_of("later")); });
  });
}

TEST(WaitWatch, ARingOfThreeIsFound) {
  testing::run_on_ranks(3, [](RankContext& context) {
    std::vector<std::unique_ptr<Communicator>> communicators;
    for (int i = 0; i < 3; ++i) {  // communicator i has ranks i and i + 1
      const int place = (context.rank() - i + 3) % 3;
      const std::string file = context.folder() + "/pair" + std::to_string(i);
      communicators.push_back(nullptr);
      if (place == 2) continue;
      const auto store = c10::make_intrusive<c10d::FileStore>(file, 2);
      communicators.back() = make_communicator(make_gloo_group(store, place, 2, 60), at::kCPU);
    }
    const char* const names[] = {"first", "second", "third"};
    Communicator& mine = *communicators[context.rank()];
    const std::string text = error_of([&] { mine.barrier(gather_of(names[context.rank()])); });
    for (const char* name : names) expect_in(name, text);
  });
}

TEST(WaitWatch, WhatWasLaunchedBeforeTheEndIsBrokenOffToo) {
  testing::run_on_ranks(2, [](RankContext& context) {
    auto reductions = make_communicator(context.new_group(), at::kCPU);
    auto gathers = make_communicator(context.new_group(), at::kCPU);
    const at::Tensor lane = at::ones({300});
    const auto start = std::chrono::steady_clock::now();
    if (context.rank() == 0) gathers->all_gather(lane, gather_of("expert 3"));
    if (context.rank() == 1) reductions->all_gather(lane, gather_of("layers.3"));
    (context.rank() == 0 ? gathers : reductions).reset();
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  });
}

// Both wait longer than a ring needs to be believed, each for one that is only slow.
TEST(WaitWatch, ASlowRankIsNoError) {
  testing::run_on_ranks(3, [](RankContext& context) {
    const auto reductions = make_communicator(context.new_group(), at::kCPU);
    const auto gathers = make_communicator(context.new_group(), at::kCPU);
    const at::Tensor lane = at::ones({300});
    if (context.rank() == 2) std::this_thread::sleep_for(std::chrono::seconds(4));
    Work reduction = reductions->reduce_scatter(lane, 1.0, at::kFloat, reduction_of("layers.3"));
    if (context.rank() == 1) reduction.wait();
    gathers->barrier(gather_of("layers.3"));
    reduction.wait();
    gathers->barrier(gather_of("layers.3"));
  });
}

TEST(WaitWatch, ARankThatIsStoppedIsNoError) {
  testing::run_on_ranks(2, [](RankContext& context) {
    const auto gathers = make_communicator(context.new_group(), at::kCPU);
    gathers->barrier(gather_of("all"));
    if (context.rank() == 1) {
      const pid_t self = ::getpid();
      if (::fork() == 0) {
        ::sleep(4);
        ::kill(self, SIGCONT);
        ::_exit(0);
      }
      ::raise(SIGSTOP);
    }
    gathers->barrier(gather_of("all"));
  });
}

// The front end's part is played by the test: rank 1 sits in a barrier of the library's own group.
TEST(WaitWatch, ABarrierOfAnotherLibraryIsOneSideOfTheRing) {
  testing::run_on_ranks(2, [](RankContext& context) {
    const auto library = context.new_group();
    const auto gathers = make_communicator(context.new_group(), at::kCPU);
    static std::atomic<bool> is_inside;
    is_inside = false;
    detail::set_script_probe(
        {.world = library,
         .look = [] { return detail::ScriptPlace{.call = is_inside ? "library.barrier" : "", .line = "train.py:57"}; },
         .may_look = [] { return true; }});
    library->barrier()->wait();
    gathers->barrier(gather_of("all"));
    if (context.rank() == 0) {
      const std::string text = error_of([&] { gathers->barrier(gather_of("layers.3")); });
      expect_in("waits in parameter gather of layers.3 in step 9 (train.py:57), and rank 1 never comes", text);
      expect_in("it waits in library.barrier (train.py:57) for rank 0", text);
    }
    is_inside = true;
    library->barrier()->wait();
    detail::stop_wait_watch();
  });
}

TEST(WaitWatch, AForkedChildOfAWaitingProcessExits) {
  testing::run_on_ranks(2, [](RankContext& context) {
    const auto gathers = make_communicator(context.new_group(), at::kCPU);
    gathers->barrier(gather_of("all"));
    if (context.rank() == 1) std::this_thread::sleep_for(std::chrono::seconds(2));
    std::thread waiting;
    if (context.rank() == 0) {
      waiting = std::thread([&] { gathers->barrier(gather_of("late")); });
      std::this_thread::sleep_for(std::chrono::milliseconds(1500));  // the wait is published now
      const pid_t child = ::fork();
      if (child == 0) {
        ::signal(SIGALRM, SIG_DFL);
        ::alarm(10);
        detail::stop_wait_watch();
        std::exit(7);
      }
      int status = 0;
      ::waitpid(child, &status, 0);
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << "status " << status;
      waiting.join();
    } else {
      gathers->barrier(gather_of("late"));
    }
  });
}

TEST(WaitWatch, AProgramEndsWhileAWaitIsPublished) {
  testing::run_on_ranks(2, [](RankContext& context) {
    const auto start = std::chrono::steady_clock::now();
    const pid_t child = ::fork();
    if (child == 0) {
      RankContext own(context.rank(), context.world(), context.folder());
      auto* gathers = make_communicator(own.new_group(), at::kCPU).release();
      gathers->barrier(gather_of("all"));
      if (context.rank() == 0) std::thread([&] { gathers->barrier(gather_of("never")); }).detach();
      std::this_thread::sleep_for(std::chrono::seconds(context.rank() == 0 ? 2 : 4));  // the waiting one ends first
      std::exit(7);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << "status " << status;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));  // Gloo waits 60
  });
}

}  // namespace
}  // namespace deepspeed::comm
