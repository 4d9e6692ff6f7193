#include "launcher/srun_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace deepspeed::launcher {
namespace {

using ::testing::ElementsAre;

TEST(SrunCommand, IsOneStepOnOneHostBesideWhatRunsThere) {
  EXPECT_THAT(
      srun_command({.program = "/usr/bin/srun", .arguments = {"--comment", "a b"}}, "node2", "/opt/my venv/deepspeed"),
      ElementsAre("/usr/bin/srun", "--nodes=1", "--ntasks=1", "--nodelist=node2", "--overlap", "--cpu-bind=none",
                  "--input=all", "--output=all", "--comment", "a b", "--", "/opt/my venv/deepspeed", "--host_agent"));
}

}  // namespace
}  // namespace deepspeed::launcher
