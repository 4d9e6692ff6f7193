#include "launcher/launch_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LaunchPlanTest : public ::testing::Test {
 protected:
  LaunchPlanTest() {
    inputs.machine.host_name = "here";
    inputs.machine.names = {"localhost", "here", "10.0.0.1"};
    inputs.machine.cores = {{0, 0}, {1, 0}, {2, 1}, {3, 1}};
    inputs.hostfile_path = "hosts";
    inputs.command.words = {"/bin/train"};
    inputs.command.arguments = {"a  b"};
    inputs.master_port = 4321;
    inputs.timestamp = "20260102030405";
  }

  LaunchPlan plan() const {
    PlanInputs all = inputs;
    all.hosts = hosts();
    return plan_launch(options, all);
  }
  std::vector<Host> hosts() const { return choose_hosts(options, inputs); }

  std::map<std::string, std::string> environment_of(int rank) const {
    const LaunchPlan launch = plan();
    const auto& variables = launch.ranks.at(static_cast<size_t>(rank)).environment;
    return {variables.begin(), variables.end()};
  }

  std::string devices() const { return environment_of(0)["CUDA_VISIBLE_DEVICES"]; }

  template <class Type>
  std::string error() const {
    try {
      plan();
    } catch (const Type& error) {
      return error.what();
    }
    return "no error";
  }

  Options options;
  PlanInputs inputs;
};

TEST_F(LaunchPlanTest, WithoutGpusThereIsOneRankASocket) {
  EXPECT_THAT(plan().ranks, SizeIs(2));
  EXPECT_FALSE(plan().on_gpus);
  EXPECT_EQ(environment_of(0).count("CUDA_VISIBLE_DEVICES"), 0u);
}

TEST_F(LaunchPlanTest, NumGpusGivesThatManyCpuRanks) {
  options.num_gpus = 3;
  EXPECT_THAT(plan().ranks, SizeIs(3));
  EXPECT_FALSE(plan().on_gpus);
}

TEST_F(LaunchPlanTest, EachRankFindsItsPlaceInTheEnvironment) {
  options.num_gpus = 2;
  auto environment = environment_of(1);
  EXPECT_EQ(environment["RANK"], "1");
  EXPECT_EQ(environment["LOCAL_RANK"], "1");
  EXPECT_EQ(environment["WORLD_SIZE"], "2");
  EXPECT_EQ(environment["LOCAL_SIZE"], "2");
  EXPECT_EQ(environment["CROSS_RANK"], "0");
  EXPECT_EQ(environment["CROSS_SIZE"], "1");
  EXPECT_EQ(environment["MASTER_ADDR"], "127.0.0.1");
  EXPECT_EQ(environment["MASTER_PORT"], "4321");
  EXPECT_THAT(plan().ranks[1].command, ElementsAre("/bin/train", "--local_rank=1", "a  b"));
}

TEST_F(LaunchPlanTest, AllGpusAreUsedAndEveryRankSeesAllOfThem) {
  inputs.machine.num_gpus = 3;
  EXPECT_THAT(plan().ranks, SizeIs(3));
  EXPECT_TRUE(plan().on_gpus);
  EXPECT_EQ(environment_of(2)["CUDA_VISIBLE_DEVICES"], "0,1,2");
}

TEST_F(LaunchPlanTest, IncludeAndExcludePickGpus) {
  inputs.machine.num_gpus = 4;
  options.include = "localhost:2,0";
  EXPECT_EQ(devices(), "0,2");
  options.include.clear();
  options.exclude = "localhost:1";
  EXPECT_EQ(devices(), "0,2,3");
}

TEST_F(LaunchPlanTest, SlotsOfCpuRanksAreOnlyLabels) {
  options.include = "localhost:0,2,7";
  EXPECT_THAT(plan().ranks, SizeIs(3));
  EXPECT_EQ(environment_of(2)["LOCAL_RANK"], "2");
}

TEST_F(LaunchPlanTest, VisibleDevicesVariableIsAnIncludeUnlessFlagsSayWhich) {
  inputs.machine.num_gpus = 4;
  inputs.environment["CUDA_VISIBLE_DEVICES"] = "3, 1";
  EXPECT_EQ(devices(), "1,3");
  options.num_gpus = 2;
  EXPECT_EQ(devices(), "0,1");
  options.num_gpus.reset();
  options.include = "localhost:2";
  EXPECT_EQ(devices(), "2");
}

TEST_F(LaunchPlanTest, GpuAndMigIdentifiersAreTheSlots) {
  inputs.machine.num_gpus = 4;
  inputs.environment["CUDA_VISIBLE_DEVICES"] = "GPU-aa,MIG-bb,GPU-cc";
  EXPECT_EQ(devices(), "GPU-aa,MIG-bb,GPU-cc");
  EXPECT_THAT(plan().ranks, SizeIs(3));
  options.num_gpus = 2;
  EXPECT_EQ(devices(), "GPU-aa,MIG-bb");
  options.num_gpus.reset();
  options.include = "localhost:2";
  EXPECT_EQ(devices(), "GPU-cc");
}

TEST_F(LaunchPlanTest, HiddenGpusMeanCpuRanks) {
  inputs.machine.num_gpus = 4;
  for (const char* hidden : {"", "-1"}) {
    inputs.environment["CUDA_VISIBLE_DEVICES"] = hidden;
    EXPECT_FALSE(plan().on_gpus) << hidden;
  }
}

TEST_F(LaunchPlanTest, VariableThatNamesAMissingGpuIsAnErrorThatNamesBoth) {
  inputs.machine.num_gpus = 2;
  inputs.environment["CUDA_VISIBLE_DEVICES"] = "0,5";
  EXPECT_THAT(error<ValueError>(), HasSubstr("CUDA_VISIBLE_DEVICES: no slot 5"));
}

TEST_F(LaunchPlanTest, MoreRanksThanGpusIsAnError) {
  inputs.machine.num_gpus = 2;
  options.num_gpus = 3;
  EXPECT_THAT(error<ValueError>(), HasSubstr("GPU 2 on host \"localhost\": this machine has 2"));
}

TEST_F(LaunchPlanTest, AcceleratorVariableForcesCpuRanks) {
  inputs.machine.num_gpus = 2;
  inputs.environment["DS_ACCELERATOR"] = "cpu";
  options.num_gpus = 4;
  EXPECT_THAT(plan().ranks, SizeIs(4));
  EXPECT_FALSE(plan().on_gpus);
  inputs.environment["DS_ACCELERATOR"] = "xpu";
  EXPECT_THAT(error<NotSupported>(), HasSubstr("DS_ACCELERATOR=xpu"));
  inputs.environment["DS_ACCELERATOR"] = "cuda";
  inputs.machine.num_gpus = 0;
  EXPECT_THAT(error<ValueError>(), HasSubstr("no GPU is visible"));
}

TEST_F(LaunchPlanTest, OmpThreadsAreCoresByRanksUnlessTheUserSaysOtherwise) {
  options.num_gpus = 2;
  EXPECT_EQ(environment_of(0)["OMP_NUM_THREADS"], "2");
  options.num_gpus = 8;
  EXPECT_EQ(environment_of(0)["OMP_NUM_THREADS"], "1");
  inputs.environment["OMP_NUM_THREADS"] = "6";
  EXPECT_EQ(environment_of(0)["OMP_NUM_THREADS"], "6");
}

TEST_F(LaunchPlanTest, BindingGivesEachRankItsOwnCoresAndThreads) {
  options.num_gpus = 2;
  options.bind_cores_to_rank = true;
  inputs.environment["OMP_NUM_THREADS"] = "6";
  EXPECT_THAT(plan().ranks[0].cores, ElementsAre(0, 1));
  EXPECT_THAT(plan().ranks[1].cores, ElementsAre(2, 3));
  EXPECT_EQ(environment_of(0)["OMP_NUM_THREADS"], "2");
  options.bind_core_list = "1,3,5-6";
  EXPECT_THAT(plan().ranks[1].cores, ElementsAre(5, 6));
  inputs.environment["KMP_AFFINITY"] = "compact";
  EXPECT_THAT(error<ValueError>(), HasSubstr("KMP_AFFINITY"));
}

TEST_F(LaunchPlanTest, NothingIsBoundUnasked) { EXPECT_THAT(plan().ranks[0].cores, IsEmpty()); }

TEST_F(LaunchPlanTest, LogFilesCarryTimeAndRank) {
  options.rank_log_folder = "logs";
  EXPECT_EQ(plan().ranks[1].log_file, "logs/20260102030405_rank1.log");
}

TEST_F(LaunchPlanTest, RanksOfALaterHostFollowThoseOfTheFirst) {
  inputs.hostfile_text = "a slots=3\nhere slots=2\n";
  inputs.hosts = hosts();
  inputs.host_index = 1;
  const LaunchPlan launch = plan_launch(options, inputs);
  ASSERT_THAT(launch.ranks, SizeIs(2));
  const std::map<std::string, std::string> environment(launch.ranks[1].environment.begin(),
                                                       launch.ranks[1].environment.end());
  for (const auto& [name, value] : std::map<std::string, std::string>{{"RANK", "4"},
                                                                      {"WORLD_SIZE", "5"},
                                                                      {"LOCAL_RANK", "1"},
                                                                      {"LOCAL_SIZE", "2"},
                                                                      {"CROSS_RANK", "1"},
                                                                      {"CROSS_SIZE", "2"}}) {
    EXPECT_EQ(environment.at(name), value) << name;
  }
}

TEST_F(LaunchPlanTest, NumNodesTakesTheFirstHosts) {
  inputs.hostfile_text = "a slots=1\nb slots=1\nc slots=1\n";
  options.several_hosts.num_nodes = 2;
  EXPECT_THAT(hosts(), ElementsAre(Host{"a", {0}}, Host{"b", {0}}));
  options.several_hosts.num_nodes = 4;
  EXPECT_THAT(error<ValueError>(), HasSubstr("--num_nodes 4: hosts has 3 hosts"));
  inputs.hostfile_text.reset();
  EXPECT_THAT(error<ValueError>(), HasSubstr("--hostfile FILE"));
}

TEST_F(LaunchPlanTest, HostsStartedByHandNeedNoHostfile) {
  options.several_hosts.num_nodes = 3;
  options.several_hosts.no_ssh = true;
  options.num_gpus = 2;
  EXPECT_THAT(hosts(), ElementsAre(Host{"node0", {0, 1}}, Host{"node1", {0, 1}}, Host{"node2", {0, 1}}));
}

TEST_F(LaunchPlanTest, HostsStartedByHandKeepToTheVisibleGpus) {
  inputs.machine.num_gpus = 8;
  inputs.environment["CUDA_VISIBLE_DEVICES"] = "2,3";
  options.several_hosts.no_ssh = true;
  options.several_hosts.num_nodes = 2;
  EXPECT_EQ(hosts(), (std::vector<Host>{{"node0", {0, 1}}, {"node1", {0, 1}}}));
  EXPECT_EQ(devices(), "2,3");
}

TEST_F(LaunchPlanTest, ATaskOfMpirunKeepsToTheVisibleGpus) {
  inputs.machine.num_gpus = 8;
  inputs.environment["CUDA_VISIBLE_DEVICES"] = "2,3";
  const Task task{.started_by = "mpirun", .rank = 1, .num_tasks = 2, .local_rank = 1, .local_size = 2};
  const auto variables = plan_task(options, inputs, task).ranks.front().environment;
  EXPECT_THAT(variables, ::testing::Contains(std::pair<std::string, std::string>("CUDA_VISIBLE_DEVICES", "2,3")));
}

TEST_F(LaunchPlanTest, NumGpusReplacesTheSlotsOfTheHostfile) {
  inputs.hostfile_text = "here slots=4\n";
  options.num_gpus = 2;
  EXPECT_THAT(plan().ranks, SizeIs(2));
}

TEST_F(LaunchPlanTest, MasterAddressIsPassedOn) {
  inputs.master_addr = "10.0.0.1";
  EXPECT_EQ(environment_of(0)["MASTER_ADDR"], "10.0.0.1");
}

TEST_F(LaunchPlanTest, ASlurmJobsHostsAreTheLaunchs) {
  inputs.job = SlurmJob{.id = "12", .hosts = {{"node1", {0, 1}}, {"node2", {0}}}};
  EXPECT_THAT(hosts(), ElementsAre(Host{"node1", {0, 1}}, Host{"node2", {0}}));
  options.exclude = "node1";
  EXPECT_THAT(hosts(), ElementsAre(Host{"node2", {0}}));
  options.exclude = "";
  options.include = "node1:0";
  EXPECT_THAT(error<ValueError>(), HasSubstr("in a Slurm job name hosts only"));
  options.include = "";
  options.several_hosts.num_nodes = 3;
  EXPECT_THAT(error<ValueError>(), HasSubstr("--num_nodes 3: Slurm job 12 has 2 hosts"));
  options.several_hosts.num_nodes = 1;
  options.num_gpus = 3;
  EXPECT_THAT(hosts(), ElementsAre(Host{"node1", {0, 1, 2}}));
  inputs.hostfile_text = "other slots=1";
  EXPECT_EQ(hosts().front().name, "other");
}

TEST_F(LaunchPlanTest, InASlurmJobSlotsArePlacesAmongTheJobsGpus) {
  inputs.machine.num_gpus = 8;
  inputs.environment = {{"SLURM_JOB_ID", "12"}, {"CUDA_VISIBLE_DEVICES", "5,2"}};
  inputs.job = SlurmJob{.id = "12", .hosts = {{"here", {0}}}, .this_host = "here"};
  EXPECT_EQ(num_usable_gpus(inputs.machine, inputs.environment), 2);
  EXPECT_THAT(plan().ranks, SizeIs(2));
  EXPECT_EQ(devices(), "5,2");
  options.num_gpus = 1;
  EXPECT_EQ(devices(), "5");
  options.num_gpus = 3;
  EXPECT_THAT(error<ValueError>(), HasSubstr("this machine has 2"));
}

TEST_F(LaunchPlanTest, WhereSlurmDoesNotNameGpusItSaysHowMany) {
  inputs.machine.num_gpus = 8;
  inputs.environment = {{"SLURM_JOB_ID", "12"}, {"SLURM_GPUS_ON_NODE", "2"}};
  EXPECT_EQ(num_usable_gpus(inputs.machine, inputs.environment), 2);
  inputs.environment["DS_ACCELERATOR"] = "cpu";
  EXPECT_EQ(num_usable_gpus(inputs.machine, inputs.environment), 0);
}

TEST_F(LaunchPlanTest, ATaskIsOneRankInTheSchedulersPlace) {
  const Task task{.started_by = "srun", .rank = 6, .num_tasks = 8, .local_rank = 2, .local_size = 4, .host_index = 1};
  inputs.job = SlurmJob{.id = "12", .hosts = {{"node1", {}}, {"node2", {}}}};
  const auto launch = plan_task(options, inputs, task);
  ASSERT_THAT(launch.ranks, SizeIs(1));
  EXPECT_EQ(launch.ranks[0].rank, 6);
  std::map<std::string, std::string> variables(launch.ranks[0].environment.begin(), launch.ranks[0].environment.end());
  EXPECT_EQ(variables["RANK"], "6");
  EXPECT_EQ(variables["WORLD_SIZE"], "8");
  EXPECT_EQ(variables["LOCAL_RANK"], "2");
  EXPECT_EQ(variables["LOCAL_SIZE"], "4");
  EXPECT_EQ(variables["CROSS_RANK"] + "/" + variables["CROSS_SIZE"], "1/2");
  EXPECT_EQ(variables["OMP_NUM_THREADS"], "1");
}

TEST_F(LaunchPlanTest, ATaskThatSeesTooFewGpusIsAnError) {
  Task task{.started_by = "srun", .rank = 1, .num_tasks = 2, .local_rank = 1, .local_size = 2};
  inputs.machine.num_gpus = 2;
  inputs.environment = {{"SLURM_JOB_ID", "12"}, {"CUDA_VISIBLE_DEVICES", "1"}};
  try {
    plan_task(options, inputs, task);
    FAIL();
  } catch (const ValueError& error) {
    EXPECT_THAT(error.what(), HasSubstr("--gpu-bind=none"));
  }
  inputs.environment["CUDA_VISIBLE_DEVICES"] = "0,1";
  const auto rank = plan_task(options, inputs, task).ranks.front();
  EXPECT_THAT(rank.environment,
              ::testing::Contains(std::pair<std::string, std::string>("CUDA_VISIBLE_DEVICES", "0,1")));
}

}  // namespace
}  // namespace deepspeed::launcher
