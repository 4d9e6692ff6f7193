#include "hosts/fan_out.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "support/scratch_folder.h"

namespace deepspeed::hosts {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

std::vector<std::string> shell(const std::string& text) { return {"/bin/sh", "-c", text}; }

TEST(FanOut, ResultsStandInTheOrderOfTheJobs) {
  std::vector<RemoteJob> jobs;
  for (int i = 0; i < 20; ++i) {
    jobs.push_back({shell("echo " + std::to_string(i) + "; echo bad >&2; exit " + std::to_string(i))});
  }
  const auto results = run_jobs(jobs, {.at_once = 7});
  ASSERT_THAT(results, SizeIs(20));
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(results[static_cast<size_t>(i)].exit_code, i);
    EXPECT_THAT(results[static_cast<size_t>(i)].lines, ElementsAre(std::to_string(i)));
    EXPECT_THAT(results[static_cast<size_t>(i)].error_lines, ElementsAre("bad"));
  }
}

TEST(FanOut, TheInputArrivesWholeAndEnds) {
  const std::string input(3'000'000, 'x');
  EXPECT_THAT(run_jobs({{shell("wc -c"), input}}, {})[0].lines, ElementsAre("3000000"));
}

TEST(FanOut, WhoIsLateIsEndedAndTheOthersAreNot) {
  const auto results = run_jobs({{shell("echo begun; exec sleep 1000")}, {shell("echo done")}},
                                {.patience = std::chrono::milliseconds(500)});
  EXPECT_TRUE(results[0].timed_out);
  EXPECT_THAT(results[0].lines, ElementsAre("begun"));
  EXPECT_FALSE(results[1].timed_out);
  EXPECT_EQ(results[1].exit_code, 0);
}

// As ssh does that stays in the background for the next connection (ControlPersist).
TEST(FanOut, WhoeverElseHoldsTheOutputsIsNotWaitedFor) {
  const test::ScratchFolder folder;
  const std::string pid_file = (folder.path() / "pid").string();
  const auto results = run_jobs({{shell("sleep 1000 & echo $! > " + pid_file + "; echo done")}}, {});
  EXPECT_THAT(results[0].lines, ElementsAre("done"));
  EXPECT_EQ(run_jobs({{shell("kill $(cat " + pid_file + ")")}}, {})[0].exit_code, 0);
}

TEST(FanOut, LinesComeAsTheyAreWritten) {
  std::vector<std::string> seen;
  const auto results = run_jobs({{shell("printf 'a\\nb'")}}, {.keeps_lines = false},
                                [&](size_t, bool, const launcher::Line& line) { seen.emplace_back(line.text); });
  EXPECT_THAT(seen, ElementsAre("a", "b"));
  EXPECT_THAT(results[0].lines, SizeIs(0));
}

TEST(FanOut, ASignalIsAnExitCodeAsAShellHasIt) {
  EXPECT_EQ(run_jobs({{shell("kill -TERM $$")}}, {})[0].exit_code, 128 + 15);
}

}  // namespace
}  // namespace deepspeed::hosts
