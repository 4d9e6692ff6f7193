#include "launcher/pdsh_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace deepspeed::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TEST(PdshCommand, RunsTheCommandOfOneHostByHandOnAll) {
  PdshLaunch launch{.program = "/usr/bin/pdsh",
                    .hosts = {"node1", "node2"},
                    .arguments = {"-u", "60"},
                    .folder = "/work/my dir",
                    .variables = {{"NCCL_DEBUG", "INFO"}},
                    .program_path = "/opt/deepspeed",
                    .deepspeed_arguments = {"--launcher", "pdsh", "train.py", "it's", "50%n"},
                    .master_addr = "node1",
                    .master_port = 29500};
  EXPECT_THAT(pdsh_command(launch),
              ElementsAre("/usr/bin/pdsh", "-S", "-b", "-f", "1024", "-w", "node1,node2", "-u", "60",
                          "cd '/work/my dir' && export NCCL_DEBUG='INFO' && exec '/opt/deepspeed' --no_ssh "
                          "--node_rank=%n --master_addr='node1' --master_port=29500 '--launcher' 'pdsh' 'train.py' "
                          "'it'\\''s' '50%%n'"));
}

TEST(PdshCommand, TheUsersOwnSshArgumentsStay) {
  EXPECT_THAT(pdsh_variables({}, ""),
              ElementsAre(Pair("PDSH_RCMD_TYPE", "ssh"), Pair("PDSH_SSH_ARGS_APPEND", "-oBatchMode=yes")));
  EXPECT_THAT(
      pdsh_variables({{"PDSH_SSH_ARGS_APPEND", "-i key"}}, "2222"),
      ElementsAre(Pair("PDSH_RCMD_TYPE", "ssh"), Pair("PDSH_SSH_ARGS_APPEND", "-i key -oBatchMode=yes -p2222")));
}

}  // namespace
}  // namespace deepspeed::launcher
