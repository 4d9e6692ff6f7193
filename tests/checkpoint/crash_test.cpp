// Saves are killed (SIGKILL, a real process) before each system call and at random times; a reader must then find the
// old state or the new one, whole. What a power cut does to unsynced data is not tested here.
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <random>

#include "sample.h"

namespace deepspeed::checkpoint {
namespace {

// Returns which of the two is there.
float expect_old_or_new(const std::filesystem::path& folder, float old_seed, float new_seed) {
  auto reader = CheckpointReader::open(folder);
  const float seed = checked_seed(reader);
  EXPECT_TRUE(seed == old_seed || seed == new_seed) << seed;
  return seed;
}

[[noreturn]] void save_and_exit(const std::filesystem::path& folder, const std::string& tag, float seed) {
  try {
    save_sample(folder, tag, seed);
  } catch (...) {
    ::_exit(1);
  }
  ::_exit(0);
}

// Kills the child before its system call number `call`, counted from 1. True: it had ended by itself before.
bool kill_before_call(pid_t child, int call) {
  int status = 0;
  ::waitpid(child, &status, 0);
  for (int stop = 1; stop < 2 * call; ++stop) {  // a call stops where it begins and where it ends
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      return true;
    }
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  return false;
}

// Saves `seed`, `seed` + 1, ... each killed a little later, until one gets through.
void kill_at_every_system_call(const std::filesystem::path& folder, bool is_same_tag) {
  save_sample(folder, "tag0", 0);
  float old_seed = 0;
  for (int call = 1;; ++call) {
    const auto new_seed = static_cast<float>(call);
    const pid_t child = ::fork();
    if (child == 0) {
      if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(2);
      ::raise(SIGSTOP);
      save_and_exit(folder, is_same_tag ? "tag0" : "tag" + std::to_string(call), new_seed);
    }
    const bool is_complete = kill_before_call(child, call);
    old_seed = expect_old_or_new(folder, old_seed, new_seed);
    if (::testing::Test::HasFailure()) return;
    if (is_complete) {
      EXPECT_EQ(old_seed, new_seed);
      EXPECT_GT(call, 25) << "the save should make many system calls";
      return;
    }
  }
}

bool can_trace() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(Crash, KilledBeforeEachSystemCallOfAnOverwriteLeavesOldOrNew) {
  if (!can_trace()) GTEST_SKIP() << "this system does not allow ptrace";
  kill_at_every_system_call(scratch_path("kill_overwrite"), true);
}

TEST(Crash, KilledBeforeEachSystemCallOfANewTagLeavesOldOrNew) {
  if (!can_trace()) GTEST_SKIP() << "this system does not allow ptrace";
  kill_at_every_system_call(scratch_path("kill_new_tag"), false);
}

TEST(Crash, KilledAtRandomTimesLeavesOldOrNew) {
  const auto folder = scratch_path("kill_random");
  const auto begin = std::chrono::steady_clock::now();
  save_sample(folder, "tag", 0);
  const auto save_time = std::chrono::steady_clock::now() - begin;
  std::mt19937 random(9);
  float old_seed = 0;
  for (int round = 1; round <= 40; ++round) {
    const std::string tag = round % 2 == 0 ? "tag" : "tag" + std::to_string(round);
    const pid_t child = ::fork();
    if (child == 0) save_and_exit(folder, tag, static_cast<float>(round));
    // The moment is meant to be arbitrary: a share of the time that a save takes.
    const auto delay = save_time * (random() % 1200) / 1000;
    ::usleep(static_cast<useconds_t>(std::chrono::duration_cast<std::chrono::microseconds>(delay).count()));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    old_seed = expect_old_or_new(folder, old_seed, static_cast<float>(round));
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace deepspeed::checkpoint
