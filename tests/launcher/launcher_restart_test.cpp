// --max_restarts on one host.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <string>
#include <vector>

#include "deepspeed/error.h"
#include "launcher_fixture.h"

namespace deepspeed::launcher {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

// Fails on rank 1 until it was started again twice.
constexpr const char* kFailTwice =
    "echo \"$RANK at $DEEPSPEED_RESTART_COUNT of $TORCHELASTIC_MAX_RESTARTS, $TORCHELASTIC_RESTART_COUNT\"\n"
    "[ $RANK = 1 ] && [ $DEEPSPEED_RESTART_COUNT -lt 2 ] && exit 7\nexit 0\n";

TEST_F(LauncherTest, AFailedLaunchStartsAgainAndTellsItsRanks) {
  auto launch = start(2, kFailTwice, {"--max_restarts", "3"});
  EXPECT_EQ(launch.wait(), 0) << launch.err();
  for (const char* count : {"0", "1", "2"}) {
    EXPECT_THAT(launch.out(), HasSubstr(concat("1 at ", count, " of 3, ", count, "\n")));
  }
  EXPECT_THAT(launch.err(), HasSubstr("deepspeed: rank 1 failed (exit code 7); restart 1 of 3 on 1 host.\n"));
  EXPECT_THAT(launch.err(), HasSubstr("restart 2 of 3"));
  EXPECT_THAT(launch.err(), Not(HasSubstr("restart 3 of 3")));
}

TEST_F(LauncherTest, ALaunchThatAlwaysFailsEndsAtTheBoundWithItsOwnExitCode) {
  auto launch = start(2, kFailTwice, {"--max_restarts", "1"});
  EXPECT_EQ(launch.wait(), 7);
  EXPECT_THAT(launch.err(),
              HasSubstr("rank 1 failed (exit code 7); not started again, --max_restarts 1 is used up.\n"));
  auto never = start(2, "exit 7\n");
  EXPECT_EQ(never.wait(), 7);
  EXPECT_THAT(never.err(), Not(HasSubstr("start")));
}

TEST_F(LauncherTest, ASignalEndsALaunchThatMayStartAgain) {
  auto launch = start(2, kWaitForever, {"--max_restarts", "5"});
  launch.read_until(" ready", 2);
  ::kill(launch.pid(), SIGTERM);
  EXPECT_EQ(launch.wait(), 128 + SIGTERM);
  EXPECT_THAT(launch.err(), Not(HasSubstr("restart")));
}

TEST_F(LauncherTest, ASignalWhileAFailedLaunchEndsMeansNoRestart) {
  auto launch = start(2,
                      "[ $RANK = 1 ] && { until [ -e \"$0.up\" ]; do :; done; exit 7; }\n"
                      "trap 'echo heard' TERM\n: > \"$0.up\"\nwhile :; do sleep 1000 & wait; done\n",
                      {"--max_restarts", "5"});
  launch.read_until("heard");
  ::kill(launch.pid(), SIGTERM);
  EXPECT_EQ(launch.wait(), 7);
  EXPECT_THAT(launch.err(), HasSubstr("rank 1 failed first"));
  EXPECT_THAT(launch.err(), Not(HasSubstr("restart")));
}

TEST_F(LauncherTest, EachAttemptHasLogsOfItsOwn) {
  const auto logs = folder_.path() / "logs";
  auto launch = start(2, kFailTwice, {"--max_restarts", "2", "--enable_each_rank_log", logs.string()});
  EXPECT_EQ(launch.wait(), 0) << launch.err();
  const std::vector<std::filesystem::directory_entry> files(std::filesystem::directory_iterator(logs), {});
  EXPECT_THAT(files, SizeIs(6));
}

}  // namespace
}  // namespace deepspeed::launcher
