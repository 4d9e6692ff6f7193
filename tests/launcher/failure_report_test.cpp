#include "launcher/failure_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

namespace deepspeed::launcher {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// As waitpid() packs them.
int exited(int code) { return code << 8; }
int signalled(int signal) { return signal; }

TEST(FailureReport, ExitCodesAreTheRanksOwnOr128PlusTheSignal) {
  EXPECT_EQ(exit_code_of(exited(3)), 3);
  EXPECT_EQ(exit_code_of(signalled(SIGKILL)), 137);
  EXPECT_EQ(exit_code_of(signalled(SIGSEGV)), 139);
}

TEST(FailureReport, SigkillIsExplainedByTheCountOfOomKills) {
  const OomKills zero{"cgroup", 0}, one{"cgroup", 1};
  EXPECT_THAT(
      describe_exit(signalled(SIGKILL), {zero, one, 0}),
      HasSubstr("SIGKILL: killed by the kernel's out-of-memory killer, most likely (cgroup oom_kill went 0 -> 1)"));
  EXPECT_THAT(describe_exit(signalled(SIGKILL), {one, one, 0}), HasSubstr("oom_kill stayed 1"));
  EXPECT_THAT(describe_exit(signalled(SIGKILL), {}), HasSubstr("perhaps by the kernel's out-of-memory killer"));
}

TEST(FailureReport, SigbusNamesTheSizeOfSharedMemory) {
  EXPECT_THAT(describe_exit(signalled(SIGBUS), {{}, {}, 64 << 20}), HasSubstr("its size is 64 MiB"));
}

TEST(FailureReport, EverySignalHasWords) {
  EXPECT_THAT(describe_exit(signalled(SIGSEGV), {}), HasSubstr("segmentation fault"));
  EXPECT_THAT(describe_exit(signalled(SIGABRT), {}), HasSubstr("SIGABRT"));
  EXPECT_THAT(describe_exit(signalled(SIGUSR1), {}), HasSubstr("User defined signal 1"));
  EXPECT_EQ(describe_exit(exited(7), {}), "exit code 7");
}

TEST(FailureReport, BlockSaysWhoWhereAndWhat) {
  Failure failure{.rank = 5,
                  .local_rank = 1,
                  .world_size = 8,
                  .host = "node1",
                  .pid = 77,
                  .command = {"train", "a b"},
                  .wait_status = exited(3),
                  .ended_by = describe_exit(exited(3), {})};
  failure.lines = {"first", "second"};
  const std::string text = describe_failure(failure);
  for (const char* part : {"rank 5 failed first", "5 of 8, local rank 1", "node1", "77", "train 'a b'", "exit code 3",
                           "    | first\n    | second\n"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  failure.lines.clear();
  EXPECT_THAT(describe_failure(failure), HasSubstr("It printed nothing."));
  failure.is_on_console = true;
  EXPECT_THAT(describe_failure(failure), Not(HasSubstr("It printed nothing.")));
}

TEST(FailureReport, CommandsAreQuotedSoThatTheyCanBePasted) {
  EXPECT_EQ(quoted({"python", "-u", "it's", "$(x)", "", "--a=1"}), "python -u 'it'\\''s' '$(x)' '' --a=1");
}

TEST(LastLines, KeepsTwentyAndOneStateOfABar) {
  LastLines lines;
  for (int i = 0; i < 30; ++i) lines.add({std::to_string(i), LineEnd::kNewline});
  lines.add({"1%", LineEnd::kReturn});
  lines.add({"2%", LineEnd::kReturn});
  const auto kept = lines.lines();
  ASSERT_EQ(kept.size(), LastLines::kMostLines);
  EXPECT_EQ(kept.front(), "11");
  EXPECT_EQ(kept.back(), "2%");
  lines.add({"3%", LineEnd::kNewline});
  lines.add({"after", LineEnd::kNewline});
  EXPECT_EQ(lines.lines()[18], "3%");
  EXPECT_EQ(lines.lines()[19], "after");
}

TEST(LastLines, CutsHugeLines) {
  LastLines lines;
  lines.add({std::string(100'000, 'x'), LineEnd::kNewline});
  EXPECT_LT(lines.lines().front().size(), 5000u);
}

}  // namespace
}  // namespace deepspeed::launcher
