// The command below mpirun and srun, and before pdsh and mpirun.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "deepspeed/error.h"
#include "launcher_fixture.h"

namespace deepspeed::launcher {
namespace {

using ::testing::HasSubstr;

TEST_F(LauncherTest, UnderMpirunEachStartIsOneRank) {
  const auto variables = [](int rank) {
    return LaunchSetup{.environment = {concat("OMPI_COMM_WORLD_RANK=", rank), "OMPI_COMM_WORLD_SIZE=2",
                                       concat("OMPI_COMM_WORLD_LOCAL_RANK=", rank), "OMPI_COMM_WORLD_LOCAL_SIZE=2"}};
  };
  const std::string script =
      folder_.add_program("rank.sh", "#!/bin/sh\necho $RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_SIZE $MASTER_ADDR\n");
  for (int rank = 0; rank < 2; ++rank) {
    Launch launch({"--no_python", "--no_local_rank", script}, variables(rank));
    EXPECT_EQ(launch.wait(), 0) << launch.err();
    EXPECT_EQ(launch.out(), concat(rank, "/2 ", rank, "/2 127.0.0.1\n"));
  }
  LaunchSetup bad_port = variables(0);
  bad_port.environment.emplace_back("MASTER_PORT=70000");
  Launch unreachable({"--no_python", script}, bad_port);
  EXPECT_EQ(unreachable.wait(), 2);
  EXPECT_THAT(unreachable.err(), HasSubstr("MASTER_PORT: got 70000"));
  Launch refused({"--num_nodes", "2", "--no_python", script}, variables(0));
  EXPECT_EQ(refused.wait(), 2);
  EXPECT_THAT(refused.err(), HasSubstr("--num_nodes: mpirun has started 2 of these commands"));
}

TEST_F(LauncherTest, AFailedTaskOfSrunEndsItsStepAndKeepsItsExitCode) {
  const TemporaryFolder bin;
  bin.add_program("scancel", "#!/bin/sh\necho \"$@\"\nkill -TERM $PPID\n");
  const std::string script = folder_.add_program("rank.sh", "#!/bin/sh\nexit 7\n");
  Launch launch({"--no_python", script},
                {.environment = {concat("PATH=", bin.path().string(), ":/usr/bin:/bin"), "SLURM_JOB_ID=3",
                                 "SLURM_JOB_NODELIST=n1", "SLURM_STEP_NODELIST=n1", "SLURM_STEP_ID=1", "SLURM_PROCID=0",
                                 "SLURM_LOCALID=0", "SLURM_NODEID=0", "SLURM_STEP_NUM_TASKS=2",
                                 "SLURM_STEP_TASKS_PER_NODE=2", "SLURMD_NODENAME=n1"}});
  EXPECT_EQ(launch.wait(), 7) << launch.err();
  EXPECT_EQ(launch.out(), "--quiet --signal=TERM 3.1\n");
}

TEST_F(LauncherTest, OtherProgramsAreNotGivenHostsThatTheyCannotHave) {
  const std::vector<std::string> job = {"SLURM_JOB_ID=3", "SLURM_JOB_NODELIST=n[1-2]"};
  for (const char* name : {"pdsh", "openmpi"}) {
    Launch launch({"--launcher", name, "/bin/true"}, {.environment = job});
    EXPECT_EQ(launch.wait(), 2);
    EXPECT_THAT(launch.err(), HasSubstr(concat("--launcher ", name, " in Slurm job 3, without a hostfile")));
  }
  const std::string hosts = (folder_.path() / "hosts").string();
  std::ofstream(hosts) << "n1 slots=4\nme@n2 slots=4\n";
  Launch chosen({"--launcher", "mpich", "--hostfile", hosts, "--include", "n1:2,3", "/bin/true"});
  EXPECT_EQ(chosen.wait(), 2);
  EXPECT_THAT(chosen.err(), HasSubstr("host n1 has slots 2,3"));
  Launch with_user({"--launcher", "openmpi", "--hostfile", hosts, "/bin/true"});
  EXPECT_EQ(with_user.wait(), 2);
  EXPECT_THAT(with_user.err(), HasSubstr("host me@n2: mpirun takes no user"));
}

}  // namespace
}  // namespace deepspeed::launcher
