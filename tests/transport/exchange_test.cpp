// What goes wrong: ranks that disagree, end, leave, stop or fork.
#include "transport/exchange.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "transport/threads_as_ranks.h"

namespace deepspeed::transport {
namespace {

using testing::new_token;
using testing::run_on_threads;

Operation barrier(Exchange& exchange, const std::string& line) {
  Operation operation = plan_barrier(exchange.place());
  operation.line = line;
  return operation;
}

std::string error_of(Exchange& exchange, const Exchange::Handle& handle) {
  try {
    exchange.wait(*handle);
  } catch (const CommError& error) {
    return error.what();
  }
  return "";
}

Operation sum_of_ones(Exchange& exchange, std::vector<float>& ones) {
  Operation operation = plan_all_reduce(exchange.place(), reinterpret_cast<std::byte*>(ones.data()),
                                        static_cast<int64_t>(ones.size()), {});
  operation.line = "a sum";
  return operation;
}

TEST(Exchange, RanksThatDisagreeAllGetBothLinesAndMixNothing) {
  run_on_threads(3, [](Exchange& exchange) {
    std::vector<float> ones(100'000, 1.0F);
    Operation operation = sum_of_ones(exchange, ones);
    operation.line = exchange.place().rank == 1 ? "the right" : "the left";
    const std::string error = error_of(exchange, exchange.launch(std::move(operation)));
    EXPECT_NE(error.find("is at: the left"), std::string::npos) << error;
    EXPECT_NE(error.find("is at: the right"), std::string::npos) << error;
    EXPECT_EQ(ones, std::vector<float>(100'000, 1.0F));
    EXPECT_EQ(error_of(exchange, exchange.launch(barrier(exchange, "later"))), error) << "the first error stays";
  });
}

// Each rank in a process of its own; returns their exit codes, or minus their signal.
std::vector<int> run_on_processes(int size, const std::function<int(Exchange&)>& body) {
  const std::string token = new_token();
  std::vector<pid_t> children;
  for (int rank = 0; rank < size; ++rank) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      int code = 100;
      try {
        Exchange exchange({.token = token, .rank = rank, .size = size}, {});
        code = body(exchange);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "rank %d: %s\n", rank, error.what());
      }
      ::_exit(code);
    }
    children.push_back(pid);
  }
  std::vector<int> codes;
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    codes.push_back(WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
  }
  return codes;
}

TEST(Exchange, AKilledRankFailsTheOthersWithinSecondsAndIsNamed) {
  const auto start = Clock::now();
  const std::vector<int> codes = run_on_processes(3, [](Exchange& exchange) {
    std::vector<float> ones(1'000'000, 1.0F);
    exchange.wait(*exchange.launch(sum_of_ones(exchange, ones)));
    if (exchange.place().rank == 1) ::kill(::getpid(), SIGKILL);
    const std::string error = error_of(exchange, exchange.launch(sum_of_ones(exchange, ones)));
    return error.find("a sum failed: rank 1 has ended") != std::string::npos ||
                   error.find("failed: rank 1 has ended") != std::string::npos
               ? 7
               : 8;
  });
  EXPECT_EQ(codes, (std::vector<int>{7, -SIGKILL, 7}));
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(20));
}

// The forked child holds the sockets and the memory open.
TEST(Exchange, ADeadRankIsNoticedThoughItsChildLives) {
  const std::vector<int> codes = run_on_processes(2, [](Exchange& exchange) {
    exchange.wait(*exchange.launch(barrier(exchange, "start")));
    if (exchange.place().rank == 1) {
      const pid_t parent = ::getpid();
      if (::fork() == 0) {
        ::kill(parent, SIGKILL);
        ::sleep(20);
        ::_exit(0);
      }
      ::sleep(20);
    }
    const auto start = Clock::now();
    const std::string error = error_of(exchange, exchange.launch(barrier(exchange, "after")));
    return error.find("rank 1 has ended") != std::string::npos && Clock::now() - start < std::chrono::seconds(10) ? 7
                                                                                                                  : 8;
  });
  EXPECT_EQ(codes, (std::vector<int>{7, -SIGKILL}));
}

TEST(Exchange, ARankThatLeftIsNamed) {
  run_on_threads(2, [](Exchange& exchange) {
    exchange.wait(*exchange.launch(barrier(exchange, "start")));
    if (exchange.place().rank == 1) return;
    const std::string error = error_of(exchange, exchange.launch(barrier(exchange, "alone")));
    EXPECT_NE(error.find("alone failed: rank 1 has left the group"), std::string::npos) << error;
  });
}

// A tensor in shared memory may live for as long as the program; the others must not wait for it.
TEST(Exchange, ARankThatLeftIsNamedThoughItsBlocksLiveOn) {
  std::shared_ptr<std::byte> block;
  std::atomic<bool> is_made{false};
  run_on_threads(2,
                 [&](Exchange& exchange) {
                   if (exchange.place().rank == 1) {
                     block = exchange.allocate(4096);
                     is_made = true;
                     is_made.notify_all();
                     return;
                   }
                   is_made.wait(false);
                   const std::string error = error_of(exchange, exchange.launch(barrier(exchange, "alone")));
                   EXPECT_NE(error.find("alone failed: rank 1 has left the group"), std::string::npos) << error;
                 },
                 {.timeout = std::chrono::seconds(5)});
  block.get()[0] = std::byte{1};  // ordinary memory now
}

/// Holds a thread up for a while at random moments, as a busy machine does.
class HoldUps {
 public:
  explicit HoldUps(pthread_t thread) : thread_(thread) {
    struct sigaction handler {};
    handler.sa_handler = [](int) {
      ::usleep(150);
      ++handled;
    };
    ::sigaction(SIGUSR1, &handler, &before_);
    holder_ = std::thread([this] { work(); });
  }
  ~HoldUps() {
    over_ = true;
    holder_.join();
    ::sigaction(SIGUSR1, &before_, nullptr);
  }

 private:
  void work() {
    std::mt19937 random(5);
    while (!over_) {
      const auto start = Clock::now();
      const auto gap = std::chrono::nanoseconds(random() % 4000);
      while (Clock::now() - start < gap) {
      }
      const int before = handled;
      ::pthread_kill(thread_, SIGUSR1);
      while (handled == before) std::this_thread::yield();
    }
  }

  static inline std::atomic<int> handled{0};
  const pthread_t thread_;
  std::atomic<bool> over_{false};
  std::thread holder_;
  struct sigaction before_ {};
};

// A rank may say its last word and leave while another, held up, has looked for the word and then looks for the rank.
TEST(Exchange, TheLastWordOfARankThatLeavesIsHeard) {
  constexpr int kRounds = 400;
  int lost = 0;
  for (int round = 0; round < kRounds; ++round) {
    run_on_threads(2, [&](Exchange& exchange) {
      std::vector<std::byte> word(64);
      Operation operation = plan_broadcast(exchange.place(), 0, word.data(), 64);
      operation.line = "the last word";
      if (exchange.place().rank == 0) {
        ::usleep(1000);
        exchange.launch(std::move(operation));
        return;
      }
      const HoldUps hold_ups(::pthread_self());
      if (!error_of(exchange, exchange.launch(std::move(operation))).empty()) ++lost;
    });
  }
  EXPECT_EQ(lost, 0) << "of " << kRounds;
}

// Small operations move in the launching thread, and then nobody drives.
TEST(Exchange, WhoOnlyAsksLearnsThatARankHasEnded) {
  const std::vector<int> codes = run_on_processes(2, [](Exchange& exchange) {
    exchange.wait(*exchange.launch(barrier(exchange, "start")));
    if (exchange.place().rank == 1) ::kill(::getpid(), SIGKILL);
    const auto handle = exchange.launch(barrier(exchange, "after"));
    const auto start = Clock::now();
    while (!exchange.is_finished(*handle) && Clock::now() - start < std::chrono::seconds(10)) ::usleep(1000);
    return handle->is_finished() && handle->error() != nullptr ? 7 : 8;
  });
  EXPECT_EQ(codes, (std::vector<int>{7, -SIGKILL}));
}

TEST(Exchange, WhoWaitsForShortTimesLearnsItToo) {
  const std::vector<int> codes = run_on_processes(2, [](Exchange& exchange) {
    exchange.wait(*exchange.launch(barrier(exchange, "start")));
    if (exchange.place().rank == 1) ::kill(::getpid(), SIGKILL);
    const auto handle = exchange.launch(barrier(exchange, "after"));
    const auto start = Clock::now();
    while (!exchange.wait_for(*handle, std::chrono::milliseconds(2)) &&
           Clock::now() - start < std::chrono::seconds(10)) {
    }
    return handle->is_finished() && handle->error() != nullptr ? 7 : 8;
  });
  EXPECT_EQ(codes, (std::vector<int>{7, -SIGKILL}));
}

TEST(Exchange, TheLongestTimesAreNoTimeAtAll) {
  constexpr auto kLongest = std::chrono::milliseconds::max() - std::chrono::milliseconds(1);
  run_on_threads(2,
                 [&](Exchange& exchange) {
                   if (exchange.place().rank == 1) ::usleep(200'000);
                   const auto handle = exchange.launch(barrier(exchange, "late"));
                   EXPECT_TRUE(exchange.wait_for(*handle, kLongest));
                   EXPECT_EQ(handle->error(), nullptr);
                 },
                 {.timeout = std::chrono::seconds::max()});
}

TEST(Exchange, WhatWasLaunchedIsFinishedAtTheEnd) {
  std::vector<std::vector<float>> values(3, std::vector<float>(500'000, 1.0F));
  run_on_threads(3, [&](Exchange& exchange) { exchange.launch(sum_of_ones(exchange, values[exchange.place().rank])); });
  for (const auto& each : values) EXPECT_EQ(each, std::vector<float>(500'000, 3.0F));
}

TEST(Exchange, ARankThatDoesNotComeIsAnErrorAfterTheTimeout) {
  std::atomic<bool> over{false};
  run_on_threads(2,
                 [&](Exchange& exchange) {
                   if (exchange.place().rank == 0) {
                     const std::string error = error_of(exchange, exchange.launch(barrier(exchange, "the meeting")));
                     EXPECT_NE(error.find("the meeting failed: rank 1 did not come within 1 s"), std::string::npos)
                         << error;
                     over = true;
                     over.notify_all();
                   } else {
                     over.wait(false);
                   }
                 },
                 {.timeout = std::chrono::seconds(1)});
}

// Rank 0 launches and then waits for rank 1 elsewhere, as with two groups; rank 1 waits for its part.
void expect_done_before_a_root_waits(const std::function<Operation(Exchange&, std::byte*)>& plan, int64_t bytes) {
  std::atomic<bool> is_launched{false};
  std::atomic<bool> is_done{false};
  run_on_threads(2,
                 [&](Exchange& exchange) {
                   const std::shared_ptr<std::byte> block = exchange.allocate(bytes);
                   if (exchange.place().rank == 1) is_launched.wait(false);
                   const Exchange::Handle handle = exchange.launch(plan(exchange, block.get()));
                   is_launched = true;
                   is_launched.notify_all();
                   if (exchange.place().rank == 0) is_done.wait(false);
                   EXPECT_EQ(error_of(exchange, handle), "");
                   if (exchange.place().rank == 1) is_done = true;
                   is_done.notify_all();
                 },
                 {.timeout = std::chrono::seconds(5)});
}

TEST(Exchange, WhoOnlyAddsIsDrivenThoughItDoesNotWait) {
  const int64_t numel = 1 << 20;  // twice what the staging area holds
  expect_done_before_a_root_waits(
      [&](Exchange& exchange, std::byte* values) { return plan_reduce(exchange.place(), 0, values, numel, {}); },
      numel * 4);
}

TEST(Exchange, SmallThingsLeaveThoughTheirReaderDoesNotWait) {
  for (const int64_t bytes : {int64_t{8}, kSmallBytes, kSmallBytes + 1}) {
    expect_done_before_a_root_waits(
        [&](Exchange& exchange, std::byte* values) { return plan_broadcast(exchange.place(), 1, values, bytes); },
        bytes);
  }
}

TEST(Exchange, FailEndsTheWaitsOfOtherThreadsAndRanks) {
  run_on_threads(2, [](Exchange& exchange) {
    if (exchange.place().rank == 1) {
      EXPECT_NE(error_of(exchange, exchange.launch(barrier(exchange, "here"))).find("had enough"), std::string::npos);
      return;
    }
    exchange.fail("had enough");
    EXPECT_EQ(error_of(exchange, exchange.launch(barrier(exchange, "here"))), "had enough");
  });
}

TEST(Exchange, SeveralThreadsOfARankWaitAtOnce) {
  run_on_threads(2, [](Exchange& exchange) {
    std::vector<std::vector<float>> values(8, std::vector<float>(70'000, 1.0F));
    std::vector<Exchange::Handle> handles;
    for (auto& each : values) handles.push_back(exchange.launch(sum_of_ones(exchange, each)));
    std::vector<std::thread> threads;
    for (size_t i = 0; i < handles.size(); ++i) {
      threads.emplace_back([&, i] {
        exchange.wait(*handles[handles.size() - 1 - i]);
        EXPECT_EQ(values[handles.size() - 1 - i].back(), 2.0F);
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
}

TEST(Exchange, CallbacksComeWithoutAWait) {
  run_on_threads(2, [](Exchange& exchange) {
    std::vector<float> ones(10, 1.0F);
    std::atomic<bool> called{false};
    const auto handle = exchange.launch(sum_of_ones(exchange, ones));
    exchange.notify_when_finished(*handle, [&](const std::exception_ptr& error) {
      EXPECT_EQ(error, nullptr);
      called = true;
      called.notify_all();
    });
    called.wait(false);
    EXPECT_EQ(ones.front(), 2.0F);
  });
}

TEST(Exchange, AForkedChildIsRefusedAndDisturbsNobody) {
  const std::vector<int> codes = run_on_processes(2, [](Exchange& exchange) {
    exchange.wait(*exchange.launch(barrier(exchange, "start")));
    const pid_t child = ::fork();
    if (child == 0) {
      const auto is_refused = [](const auto& act) {
        try {
          act();
        } catch (const CommError&) {
          return true;
        }
        return false;
      };
      ::_exit(is_refused([&] { exchange.launch(barrier(exchange, "child")); }) &&
                      is_refused([&] { exchange.allocate(4096); })
                  ? 5
                  : 6);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    exchange.wait(*exchange.launch(barrier(exchange, "parents")));
    return WEXITSTATUS(status);
  });
  EXPECT_EQ(codes, (std::vector<int>{5, 5}));
}

TEST(Exchange, LeavesNothingBehind) {
  const auto entries = [] {
    size_t count = 0;
    for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/dev/shm")) ++count;
    return count;
  };
  const auto descriptors = [] {
    size_t count = 0;
    for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
    return count;
  };
  const size_t files = entries();
  const size_t open = descriptors();
  run_on_threads(4, [&](Exchange& exchange) {
    const auto block = exchange.allocate(1 << 20);
    exchange.wait(*exchange.launch(barrier(exchange, "start")));
    EXPECT_LE(entries(), files);
  });
  EXPECT_EQ(descriptors(), open);
}

TEST(Exchange, MissingRanksAreAnErrorThatSaysSo) {
  try {
    Exchange exchange({.token = new_token(), .rank = 0, .size = 3, .timeout = std::chrono::milliseconds(50)}, {});
    ADD_FAILURE() << "expected CommError";
  } catch (const CommError& error) {
    EXPECT_NE(std::string(error.what()).find("2 ranks above it did not come"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace deepspeed::transport
