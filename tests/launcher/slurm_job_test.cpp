// The variables are those that Slurm 22.05 set in each of these places.
#include "launcher/slurm_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

using ::testing::ElementsAre;

const Environment kSalloc = {{"SLURM_JOB_ID", "12"},
                             {"SLURM_JOB_NODELIST", "node[1-2]"},
                             {"SLURM_JOB_NUM_NODES", "2"},
                             {"SLURM_TASKS_PER_NODE", "2(x2)"}};

Environment with(Environment base, const Environment& more) {
  for (const auto& [name, value] : more) base[name] = value;
  return base;
}

const Environment kBatch = with(kSalloc, {{"SLURM_PROCID", "0"}, {"SLURM_NODEID", "0"}, {"SLURMD_NODENAME", "node1"}});
const Environment kTask = with(kBatch, {{"SLURM_STEP_ID", "3"},
                                        {"SLURM_STEP_NODELIST", "node2"},
                                        {"SLURM_STEP_TASKS_PER_NODE", "4"},
                                        {"SLURM_NTASKS", "4"},
                                        {"SLURMD_NODENAME", "node2"}});

TEST(SlurmJob, OutsideOfAJobThereIsNone) {
  EXPECT_FALSE(find_slurm_job({}));
  EXPECT_FALSE(find_slurm_job({{"SLURM_JOB_ID", "1"}}));
}

TEST(SlurmJob, AShellOfSallocHasTheJobsHostsWithASlotEachUnlessTasksWereAskedFor) {
  const auto job = find_slurm_job(kSalloc);
  EXPECT_THAT(job->hosts, ElementsAre(Host{"node1", {0}}, Host{"node2", {0}}));
  EXPECT_EQ(job->this_host, "");
  EXPECT_THAT(find_slurm_job(with(kSalloc, {{"SLURM_NTASKS", "4"}}))->hosts,
              ElementsAre(Host{"node1", {0, 1}}, Host{"node2", {0, 1}}));
}

TEST(SlurmJob, ABatchScriptIsNoTaskAndHasTheJobsHosts) {
  EXPECT_FALSE(is_slurm_task(kBatch));
  EXPECT_THAT(find_slurm_job(kBatch)->hosts, ElementsAre(Host{"node1", {0}}, Host{"node2", {0}}));
  EXPECT_EQ(find_slurm_job(kBatch)->this_host, "node1");
}

TEST(SlurmJob, ATaskHasTheHostsOfItsStep) {
  EXPECT_TRUE(is_slurm_task(kTask));
  EXPECT_THAT(find_slurm_job(kTask)->hosts, ElementsAre(Host{"node2", {0, 1, 2, 3}}));
}

TEST(SlurmJob, AShellBehindSrunIsNoTask) {
  const auto shell = with(kTask, {{"SLURM_PTY_PORT", "4711"}});
  EXPECT_FALSE(is_slurm_task(shell));
  EXPECT_THAT(find_slurm_job(shell)->hosts, ElementsAre(Host{"node1", {0}}, Host{"node2", {0}}));
  EXPECT_FALSE(is_slurm_task(with(kTask, {{"SLURM_STEP_ID", "4294967290"}})));  // salloc's own
}

TEST(SlurmJob, AllTasksOfAStepHaveOnePortAndOtherStepsAnother) {
  const int port = find_slurm_job(kTask)->shared_port;
  EXPECT_GE(port, 20000);
  EXPECT_LT(port, 30000);
  EXPECT_EQ(find_slurm_job(with(kTask, {{"SLURMD_NODENAME", "node1"}, {"SLURM_PROCID", "3"}}))->shared_port, port);
  EXPECT_NE(find_slurm_job(with(kTask, {{"SLURM_STEP_ID", "4"}}))->shared_port, port);
  EXPECT_NE(find_slurm_job(with(kTask, {{"SLURM_JOB_ID", "13"}}))->shared_port, port);
}

TEST(SlurmJob, VariablesThatDoNotFitAreErrors) {
  EXPECT_THROW(find_slurm_job(with(kSalloc, {{"SLURM_JOB_NODELIST", "node[1-"}})), ValueError);
  EXPECT_THROW(find_slurm_job(with(kTask, {{"SLURM_STEP_TASKS_PER_NODE", "1(x3)"}})), ValueError);
  EXPECT_THROW(find_slurm_job(with(kTask, {{"SLURM_STEP_ID", "x"}})), ValueError);
}

}  // namespace
}  // namespace deepspeed::launcher
