#include "launcher/ssh_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "deepspeed/error.h"
#include "temporary_folder.h"

namespace deepspeed::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(SshCommand, UserWordsComeFirstAndTheHostAfterTwoDashes) {
  EXPECT_THAT(
      ssh_command({.program = "/usr/bin/ssh", .port = "2222", .arguments = {"-i", "my key"}}, "node1", "/bin/ds"),
      ElementsAre("/usr/bin/ssh", "-T", "-i", "my key", "-p", "2222", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
                  "--", "node1", "test -x '/bin/ds' && exec '/bin/ds' --host_agent; exec deepspeed --host_agent"));
}

TEST(SshCommand, AnyTextMayBeForTheShellThere) {
  EXPECT_THAT(ssh_to({}, "node1", "exec /bin/sh -s"),
              ElementsAre("ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "--", "node1",
                          "exec /bin/sh -s"));
}

TEST(SshCommand, ThePathOfTheProgramMeansNothingToAShell) {
  const TemporaryFolder folder;
  const auto program =
      folder.add_program("a'; touch owned; $(touch owned) `touch owned` \\ \"b", "#!/bin/sh\necho \"<$1>\"\n");
  std::FILE* shell = ::popen(("cd " + folder.path().string() + " && " + remote_command(program)).c_str(), "r");
  char line[64] = "";
  ASSERT_NE(std::fgets(line, sizeof(line), shell), nullptr);
  EXPECT_EQ(::pclose(shell), 0);
  EXPECT_STREQ(line, "<--host_agent>\n");
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "owned"));
}

TEST(SplitWords, FollowsQuotesAndBackslashesAndNothingElse) {
  EXPECT_THAT(split_words("-i 'my key' -o \"A=b c\" d\\ e $HOME `x`"),
              ElementsAre("-i", "my key", "-o", "A=b c", "d e", "$HOME", "`x`"));
  EXPECT_THAT(split_words("a''b \"\" \"q\\\"\" '\\'"), ElementsAre("ab", "", "q\"", "\\"));
  EXPECT_THAT(split_words("  "), IsEmpty());
}

TEST(SplitWords, AQuoteThatDoesNotEndIsAnErrorWithItsColumn) {
  try {
    split_words("-o 'x");
    FAIL();
  } catch (const ValueError& error) {
    EXPECT_THAT(error.what(), HasSubstr("column 4"));
  }
}

}  // namespace
}  // namespace deepspeed::launcher
