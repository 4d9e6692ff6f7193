#include "hosts/tool_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake_ssh.h"

namespace deepspeed::hosts {
namespace {

using ::testing::ElementsAre;

TEST(ToolFlags, SshGivesUpOnHostsThatDieButTheUsersWordsComeFirst) {
  const FakeSsh ssh;
  const auto options =
      ssh_options({.launcher_args = "-o ServerAliveInterval=60", .timeout_s = 8}, {{"PATH", ssh.folder().string()}});
  EXPECT_THAT(options.arguments, ElementsAre("-o", "ServerAliveInterval=60", "-o", "ConnectTimeout=6", "-o",
                                             "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"));
}

}  // namespace
}  // namespace deepspeed::hosts
