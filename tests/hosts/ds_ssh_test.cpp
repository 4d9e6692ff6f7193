#include "hosts/ds_ssh.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake_ssh.h"
#include "hosts/fan_out.h"

namespace deepspeed::hosts {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST(DsSsh, OneWordIsATextForTheShellThere) { EXPECT_EQ(remote_text({"ls | head"}), "ls | head"); }

TEST(DsSsh, SeveralWordsArriveAsTheyWereGiven) {
  const std::vector<std::string> words = {"a  b", "'", "$(exit 3)", "`id`", "*", "", "\\", "\"", "#", "~", "-n", "!x"};
  std::vector<std::string> command = {"printf", "<%s>\\n"};
  command.insert(command.end(), words.begin(), words.end());
  std::vector<std::string> expected;
  for (const std::string& word : words) expected.push_back("<" + word + ">");
  const auto results = run_jobs({{{"/bin/sh", "-c", remote_text(command)}}}, {});
  EXPECT_THAT(results[0].lines, ElementsAreArray(expected));
}

RemoteResult run_in_shell(const FakeSsh& ssh, const std::string& text) {
  const std::string setting = "PATH='" + ssh.folder().string() + "':/usr/bin:/bin; ds_ssh='" + DS_SSH_PROGRAM + "'; ";
  return run_jobs({{{"/bin/sh", "-c", setting + text}}}, {.patience = std::chrono::seconds(60)}).front();
}

TEST(DsSsh, ItEndsWhenNobodyReadsWhatItShows) {
  const FakeSsh ssh;
  const std::string hostfile = ssh.write_hostfile({"a", "b"});
  const auto result = run_in_shell(ssh, "{ \"$ds_ssh\" -f " + hostfile + " yes; echo code $? >&2; } | head -n 1");
  EXPECT_FALSE(result.timed_out);
  EXPECT_THAT(result.lines, ElementsAre(EndsWith(": y")));
  EXPECT_THAT(result.error_lines, ElementsAre(HasSubstr("writing to standard output: Broken pipe"), "code 1"));
}

TEST(DsSsh, MoreHostsThanTheLimitOfOpenFilesIsMadeForAreAskedAtOnce) {
  const FakeSsh ssh;
  const std::string hostfile = ssh.write_hostfile({"a", "b", "c", "d", "e", "f", "g", "h"});
  const auto result = run_in_shell(ssh, "ulimit -Sn 20; \"$ds_ssh\" -f " + hostfile + " 'ulimit -Sn'");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.lines, SizeIs(8));
  EXPECT_THAT(result.lines, Each(EndsWith(": 20")));
}

TEST(DsSsh, WhereTheLimitStaysTheErrorSaysHowToRaiseIt) {
  const FakeSsh ssh;
  const std::string hostfile = ssh.write_hostfile({"a", "b", "c", "d", "e", "f", "g", "h"});
  const auto result = run_in_shell(ssh, "ulimit -n 20; \"$ds_ssh\" -f " + hostfile + " true");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.error_lines, ElementsAre(HasSubstr("ulimit -n")));
}

}  // namespace
}  // namespace deepspeed::hosts
