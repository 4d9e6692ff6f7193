// How an agent is started on a host of a Slurm job: one job step a host. Pure.
#pragma once

#include <string>
#include <vector>

namespace deepspeed::launcher {

struct SrunOptions {
  std::string program = "srun";
  std::vector<std::string> arguments;  ///< of --launcher_args, after ours: for srun the last of two counts
};

/// The step shares the job's CPUs, memory and GPUs on that host with whatever else runs there, and ties no process to a
/// part of them. No shell reads any of it.
std::vector<std::string> srun_command(const SrunOptions& options, const std::string& host,
                                      const std::string& agent_path);

}  // namespace deepspeed::launcher
