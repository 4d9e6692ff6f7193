#include "launcher/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

using ::testing::HasSubstr;

Environment step(const std::string& num_tasks, const std::string& counts) {
  return {{"SLURM_JOB_ID", "12"},
          {"SLURM_JOB_NODELIST", "node[1-3]"},
          {"SLURM_STEP_ID", "0"},
          {"SLURM_STEP_NODELIST", "node[1-2]"},
          {"SLURM_PROCID", "1"},
          {"SLURM_NODEID", "1"},
          {"SLURM_LOCALID", "0"},
          {"SLURM_STEP_NUM_TASKS", num_tasks},
          {"SLURM_STEP_TASKS_PER_NODE", counts}};
}

const Environment kOpenMpi = {{"OMPI_COMM_WORLD_RANK", "5"},
                              {"OMPI_COMM_WORLD_SIZE", "8"},
                              {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                              {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}};

TEST(Task, AProcessAloneIsNone) {
  EXPECT_FALSE(find_task({}));
  EXPECT_FALSE(find_task({{"SLURM_JOB_ID", "12"}, {"SLURM_JOB_NODELIST", "node1"}, {"SLURM_PROCID", "0"}}));
  auto alone = step("1", "1");
  alone["SLURM_STEP_NODELIST"] = "node1";
  alone["SLURM_PROCID"] = alone["SLURM_NODEID"] = "0";
  EXPECT_FALSE(find_task(alone));
}

TEST(Task, OneOnEachHostOfAStepStartsItsHostsRanks) {
  const auto task = find_task(step("2", "1(x2)"));
  EXPECT_TRUE(task->is_for_host);
  EXPECT_EQ(task->rank, 1);
  EXPECT_EQ(task->host_index, 1);
}

TEST(Task, SeveralOnAHostAreARankEach) {
  const auto task = find_task(step("5", "3,2"));
  EXPECT_FALSE(task->is_for_host);
  EXPECT_EQ(task->num_tasks, 5);
  EXPECT_EQ(task->local_size, 2);
  EXPECT_EQ(task->started_by, "srun");
}

TEST(Task, MpirunsRanksAreARankEach) {
  const auto task = find_task(kOpenMpi);
  EXPECT_EQ(task->started_by, "mpirun");
  EXPECT_EQ(task->rank, 5);
  EXPECT_EQ(task->num_tasks, 8);
  EXPECT_EQ(task->local_rank, 1);
  EXPECT_EQ(task->local_size, 4);
  EXPECT_FALSE(task->is_for_host);
  EXPECT_EQ(find_task({{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}, {"MPI_LOCALRANKID", "0"}, {"MPI_LOCALNRANKS", "1"}})->rank,
            1);
  EXPECT_EQ(find_task({{"MV2_COMM_WORLD_RANK", "1"},
                       {"MV2_COMM_WORLD_SIZE", "2"},
                       {"MV2_COMM_WORLD_LOCAL_RANK", "1"},
                       {"MV2_COMM_WORLD_LOCAL_SIZE", "2"}})
                ->local_rank,
            1);
}

TEST(Task, MpirunInsideOfASlurmStepCountsAndPmiOfSrunDoesNot) {
  auto both = step("2", "1(x2)");
  both.insert(kOpenMpi.begin(), kOpenMpi.end());
  EXPECT_EQ(find_task(both)->started_by, "mpirun");
  auto with_pmi2 = step("2", "1(x2)");
  with_pmi2["PMI_RANK"] = "1";
  with_pmi2["PMI_SIZE"] = "2";
  EXPECT_EQ(find_task(with_pmi2)->started_by, "srun");
}

TEST(Task, WhatDoesNotFitIsAnError) {
  const auto error_of = [](Environment environment, const std::string& name, const std::string& value) {
    environment[name] = value;
    try {
      find_task(environment);
    } catch (const ValueError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(error_of(kOpenMpi, "OMPI_COMM_WORLD_RANK", "8"), HasSubstr("rank 8 of 8"));
  EXPECT_THAT(error_of(kOpenMpi, "OMPI_COMM_WORLD_SIZE", "many"), HasSubstr("OMPI_COMM_WORLD_SIZE: got \"many\""));
  EXPECT_THAT(error_of(step("2", "1(x2)"), "SLURM_NODEID", "2"), HasSubstr("SLURM_NODEID=2"));
}

}  // namespace
}  // namespace deepspeed::launcher
