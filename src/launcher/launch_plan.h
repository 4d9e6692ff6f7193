// What a launch does, before it does anything: hosts, ranks, their environment, command, cores and log files.
// Pure: everything about the machine is an argument.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "launcher/command.h"
#include "launcher/hostfile.h"
#include "launcher/machine.h"
#include "launcher/options.h"
#include "launcher/slurm_job.h"
#include "launcher/task.h"

namespace deepspeed::launcher {

struct RankPlan {
  int rank = 0;                                                  ///< global: the host's offset plus local_rank
  int local_rank = 0;                                            ///< position on its host
  std::vector<std::pair<std::string, std::string>> environment;  ///< set on top of the launcher's own
  std::vector<std::string> command;
  std::vector<int> cores;          ///< CPUs to run on; empty: those of the launcher
  std::filesystem::path log_file;  ///< empty: output goes to the console
};

struct LaunchPlan {
  std::vector<Host> hosts;  ///< all hosts of the launch, in rank order
  size_t host_index = 0;    ///< which of them this plan is for
  bool on_gpus = false;
  std::string master_addr;
  int master_port = 0;
  std::vector<RankPlan> ranks;  ///< of this host, in order of local_rank
  int world_size = 0;
};

/// Facts that the plan needs and does not look up itself.
struct PlanInputs {
  Machine machine;
  Environment environment;
  std::optional<std::string> hostfile_text;  ///< absent: this host with all that it has
  std::string hostfile_path;                 ///< for messages
  std::optional<SlurmJob> job;               ///< absent: not in one; without a hostfile its hosts are the launch's
  std::vector<Host> hosts;                   ///< choose_hosts()
  size_t host_index = 0;                     ///< of this host among them
  Command command;
  std::string master_addr = "127.0.0.1";
  int master_port = 0;
  std::string timestamp;  ///< YYYYmmddHHMMSS, begins the names of log files
};

/// The hosts and slots that the flags leave of the hostfile, else of the Slurm job, else of this host: --include,
/// --exclude, --num_nodes, --num_gpus, CUDA_VISIBLE_DEVICES. Needs no `hosts`. Throws ValueError for what is not there.
std::vector<Host> choose_hosts(const Options& options, const PlanInputs& inputs);

/// GPUs of this host that a launch may use, 0 where it is to run on CPUs: what CUDA_VISIBLE_DEVICES and Slurm allow.
int num_usable_gpus(const Machine& machine, const Environment& environment);

/// The ranks of the host `host_index`, which is this one. Throws ValueError for GPUs or cores that are not there.
LaunchPlan plan_launch(const Options& options, const PlanInputs& inputs);

/// The one rank that the task is; `hosts` are not looked at. Its GPUs are those that it was given. Throws ValueError
/// where these are fewer than its place among the host's ranks needs.
LaunchPlan plan_task(const Options& options, const PlanInputs& inputs, const Task& task);

/// This process's environment.
Environment environment_map();

/// At debug level: the variables and the command of each rank.
void log_plan(const LaunchPlan& plan);

}  // namespace deepspeed::launcher
