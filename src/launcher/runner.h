// How the ranks of a launch are started. Pure.
#pragma once

#include "launcher/launch_plan.h"
#include "launcher/options.h"

namespace deepspeed::launcher {

enum class Runner {
  kHere,        ///< all ranks on this host, by this process
  kByHand,      ///< this host's ranks only: the command is started on each host (--no_ssh)
  kSsh,         ///< an agent on each host, over ssh
  kSlurm,       ///< an agent on each host of the Slurm job, started by srun
  kPdsh,        ///< pdsh instead of this process: the command by hand on each host
  kOpenMpi,     ///< Open MPI's mpirun instead of this process: a command a rank
  kHydra,       ///< MPICH's or Intel MPI's in the same way
  kLocalAgents  ///< an agent for each host of the hostfile, all on this host (--launcher local)
};

/// For the `hosts` that were chosen. Throws NotSupported for runners that this version does not have, ValueError where
/// --no_ssh and --node_rank do not fit each other and the hosts, for --launcher slurm outside of a job, and for
/// --ssh_port where no ssh is started.
Runner choose_runner(const Options& options, const PlanInputs& inputs);

/// Of those given, flags that this runner can do nothing with and that change nothing about the ranks.
std::vector<std::string> flags_without_effect(Runner runner, const Options& options);

}  // namespace deepspeed::launcher
