#include "launcher/mpirun_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <variant>

namespace deepspeed::launcher {
namespace {

using ::testing::ElementsAre;

const MpirunLaunch kLaunch = {.program = "/usr/bin/mpirun",
                              .hosts = {{"a", {0, 1}}, {"b", {3}}},
                              .arguments = {"--verbose"},
                              .variables = {"MASTER_ADDR", "NCCL_DEBUG"},
                              .program_path = "/opt/deepspeed",
                              .deepspeed_arguments = {"--", "train.py"}};

TEST(MpirunCommand, OpenMpiGetsARankASlotAndNamesOfVariables) {
  EXPECT_THAT(open_mpi_command(kLaunch),
              ElementsAre("/usr/bin/mpirun", "-n", "3", "--host", "a:2,b:1", "--map-by", "slot", "--bind-to", "none",
                          "-x", "MASTER_ADDR", "-x", "NCCL_DEBUG", "--verbose", "/opt/deepspeed", "--", "train.py"));
}

TEST(MpirunCommand, HydraGetsTheSame) {
  EXPECT_THAT(hydra_command(kLaunch),
              ElementsAre("/usr/bin/mpirun", "-n", "3", "-hosts", "a:2,b:1", "-genvlist", "MASTER_ADDR,NCCL_DEBUG",
                          "--verbose", "/opt/deepspeed", "--", "train.py"));
}

TEST(MpirunCommand, ARankGetsTheFlagsThatAreAboutItself) {
  const auto options = std::get<Options>(parse_options({"--launcher",
                                                        "openmpi",
                                                        "-H",
                                                        "hosts",
                                                        "--include",
                                                        "a",
                                                        "--module",
                                                        "--no_local_rank",
                                                        "--log_level",
                                                        "warning",
                                                        "--bind_cores_to_rank",
                                                        "--bind_core_list",
                                                        "0-3",
                                                        "--enable_each_rank_log",
                                                        "logs",
                                                        "--venv_script",
                                                        "v",
                                                        "pkg.train",
                                                        "-x",
                                                        "a  b"}));
  EXPECT_THAT(task_arguments(options),
              ElementsAre("--module", "--no_local_rank", "--bind_cores_to_rank", "--bind_core_list", "0-3",
                          "--enable_each_rank_log", "logs", "--venv_script", "v", "--log_level", "warning", "--",
                          "pkg.train", "-x", "a  b"));
}

}  // namespace
}  // namespace deepspeed::launcher
