#include "launcher/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

using ::testing::HasSubstr;

class RunnerTest : public ::testing::Test {
 protected:
  RunnerTest() { inputs.machine.names = {"localhost", "here"}; }
  Runner chosen(const std::vector<Host>& hosts) {
    inputs.hosts = hosts;
    return choose_runner(options, inputs);
  }
  template <class Type>
  std::string error(const std::vector<Host>& hosts) {
    try {
      chosen(hosts);
    } catch (const Type& error) {
      return error.what();
    }
    return "no error";
  }

  PlanInputs inputs;
  Options options;
  SeveralHostsOptions& several = options.several_hosts;
  const std::vector<Host> here = {{"here", {0}}};
  const std::vector<Host> there = {{"there", {0}}};
  const std::vector<Host> two = {{"here", {0}}, {"there", {0}}};
};

TEST_F(RunnerTest, OneHostThatIsThisOneNeedsNoSsh) {
  EXPECT_EQ(chosen(here), Runner::kHere);
  several.launcher = "pdsh";  // what old command lines say
  EXPECT_EQ(chosen(here), Runner::kHere);
}

TEST_F(RunnerTest, OtherHostsAreReachedOverSshAndNeverReplacedByThisOne) {
  EXPECT_EQ(chosen(there), Runner::kSsh);
  EXPECT_EQ(chosen(two), Runner::kSsh);
  several.force_multi = true;
  EXPECT_EQ(chosen(here), Runner::kSsh);
}

TEST_F(RunnerTest, LocalPlaysAllHostsOnThisOne) {
  several.launcher = "local";
  EXPECT_EQ(chosen(two), Runner::kLocalAgents);
  EXPECT_EQ(chosen(there), Runner::kHere);
}

TEST_F(RunnerTest, OtherProgramsTakeOverWhereAskedFor) {
  several.launcher = "pdsh";
  EXPECT_EQ(chosen(two), Runner::kPdsh);
  several.launcher = "openmpi";
  EXPECT_EQ(chosen(two), Runner::kOpenMpi);
  for (const char* name : {"mpich", "impi"}) {
    several.launcher = name;
    EXPECT_EQ(chosen(two), Runner::kHydra);
  }
}

TEST_F(RunnerTest, RunnersThatAreNotThereAreNamed) {
  for (const char* name : {"mvapich", "typo"}) {
    several.launcher = name;
    EXPECT_THAT(error<NotSupported>(two), HasSubstr(std::string("--launcher ") + name));
  }
}

TEST_F(RunnerTest, HostsOfASlurmJobAreReachedThroughItUnlessAHostfileOrAFlagSaysOtherwise) {
  inputs.job = SlurmJob{.id = "12", .hosts = two};
  EXPECT_EQ(chosen(two), Runner::kSlurm);
  EXPECT_EQ(chosen(there), Runner::kSlurm);
  EXPECT_EQ(chosen(here), Runner::kHere);
  several.launcher = "ssh";
  EXPECT_EQ(chosen(two), Runner::kSsh);
  several.launcher = "";
  inputs.hostfile_text = "here slots=1\nthere slots=1\n";
  EXPECT_EQ(chosen(two), Runner::kSsh);
  several.launcher = "slurm";
  EXPECT_EQ(chosen(two), Runner::kSlurm);
}

TEST_F(RunnerTest, SlurmNeedsAJob) {
  several.launcher = "slurm";
  EXPECT_THAT(error<ValueError>(two), HasSubstr("this is no Slurm job"));
}

TEST_F(RunnerTest, ANameThatIsNoneIsRefusedOnOneHostToo) {
  several.launcher = "nonsense";
  EXPECT_THAT(error<NotSupported>(here), HasSubstr("--launcher nonsense"));
}

TEST_F(RunnerTest, AnSshPortNeedsSsh) {
  several.ssh_port = "2222";
  EXPECT_EQ(chosen(two), Runner::kSsh);
  several.launcher = "openmpi";
  EXPECT_THAT(error<ValueError>(two), HasSubstr("--ssh_port 2222"));
  several.launcher = "local";
  EXPECT_THAT(error<ValueError>(two), HasSubstr("--ssh_port 2222"));
  several.launcher = "pdsh";  // its commands on the hosts have all flags
  EXPECT_EQ(chosen(two), Runner::kPdsh);
  several.no_ssh = true;
  several.node_rank = 0;
  EXPECT_EQ(chosen(two), Runner::kByHand);
}

TEST_F(RunnerTest, FlagsWithoutEffectAreNamed) {
  several.launcher_args = "-v";
  options.collapse_lines = true;
  EXPECT_THAT(flags_without_effect(Runner::kByHand, options), ::testing::ElementsAre("--launcher_args"));
  EXPECT_THAT(flags_without_effect(Runner::kHydra, options), ::testing::ElementsAre("--collapse_lines"));
  EXPECT_THAT(flags_without_effect(Runner::kSsh, options), ::testing::IsEmpty());
}

TEST_F(RunnerTest, ByHandNeedsANodeRankAndItNeedsByHand) {
  several.no_ssh = true;
  EXPECT_THAT(error<ValueError>(two), HasSubstr("--node_rank: got -1, expected this host's number, 0 to 1"));
  several.node_rank = 2;
  EXPECT_THAT(error<ValueError>(two), HasSubstr("got 2"));
  several.node_rank = 1;
  EXPECT_EQ(chosen(two), Runner::kByHand);
  several.no_ssh = false;
  EXPECT_THAT(error<ValueError>(two), HasSubstr("it needs --no_ssh"));
}

}  // namespace
}  // namespace deepspeed::launcher
