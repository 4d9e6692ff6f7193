// Forking ranks. The parent never computes with torch, so that the children start without its threads.
#include "support/ranks.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <thread>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <vector>

#include "comm/rendezvous.h"
#include "deepspeed/error.h"

namespace deepspeed::testing {

c10::intrusive_ptr<c10d::ProcessGroup> RankContext::new_group() {
  if (world_ == 1) return {};
  const std::string file = folder_ + "/store" + std::to_string(groups_++);
  const auto store = c10::make_intrusive<c10d::FileStore>(file, world_);
  return comm::make_gloo_group(store, rank_, world_, 60);
}

c10::intrusive_ptr<c10d::ProcessGroup> RankContext::shared_group() {
  if (!shared_) shared_ = new_group();
  return shared_;
}

c10::intrusive_ptr<c10d::ProcessGroup> RankContext::shared_gather_group() {
  if (!shared_gather_) shared_gather_ = new_group();
  return shared_gather_;
}

namespace {

int run_child(RankContext context, const std::function<void(RankContext&)>& body) {
  at::set_num_threads(1);
  try {
    body(context);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rank %d: %s\n", context.rank(), error.what());
    return 2;
  }
  return ::testing::Test::HasFailure() ? 1 : 0;
}

}  // namespace

void run_on_ranks(int world, const std::function<void(RankContext&)>& body, int timeout_seconds) {
  char name[] = "/tmp/ds_ranks_XXXXXX";
  const std::string folder = ::mkdtemp(name);
  std::vector<pid_t> children;
  for (int rank = 0; rank < world; ++rank) {
    std::fflush(nullptr);
    const pid_t pid = ::fork();
    if (pid == 0) {
      const int code = run_child(RankContext(rank, world, folder), body);
      std::fflush(nullptr);
      ::_exit(code);
    }
    children.push_back(pid);
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_seconds);
  std::vector<bool> over(world, false);
  for (int left = world; left > 0;) {
    for (int rank = 0; rank < world; ++rank) {
      int status = 0;
      if (over[rank] || ::waitpid(children[rank], &status, WNOHANG) == 0) continue;
      over[rank] = true;
      --left;
      if (WIFSIGNALED(status))
        ADD_FAILURE() << "rank " << rank << " of " << world << " died of signal " << WTERMSIG(status);
      if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        ADD_FAILURE() << "rank " << rank << " of " << world << " failed (exit " << WEXITSTATUS(status) << ")";
    }
    if (left > 0 && std::chrono::steady_clock::now() > deadline) {
      for (int rank = 0; rank < world; ++rank) {
        if (!over[rank]) ::kill(children[rank], SIGKILL);
      }
      ADD_FAILURE() << left << " of " << world << " ranks were still running after " << timeout_seconds << " s";
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  std::filesystem::remove_all(folder);
}

}  // namespace deepspeed::testing
