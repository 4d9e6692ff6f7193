// One mpirun for all ranks (--launcher openmpi, mpich, impi): each is a `deepspeed` that finds its place in the MPI's
// variables (task.h). Pure.
#pragma once

#include <string>
#include <vector>

#include "launcher/hostfile.h"
#include "launcher/options.h"

namespace deepspeed::launcher {

struct MpirunLaunch {
  std::string program = "mpirun";
  std::vector<Host> hosts = {};                       ///< a rank on each slot
  std::vector<std::string> arguments = {};            ///< of --launcher_args
  std::vector<std::string> variables = {};            ///< names of those that go to all hosts, out of mpirun's own
  std::string program_path = {};                      ///< of `deepspeed`, there as here
  std::vector<std::string> deepspeed_arguments = {};  ///< task_arguments()
};

/// For Open MPI's mpirun. Ranks are not bound to cores: --bind_cores_to_rank does that.
std::vector<std::string> open_mpi_command(const MpirunLaunch& launch);

/// For MPICH's and Intel MPI's mpiexec.hydra.
std::vector<std::string> hydra_command(const MpirunLaunch& launch);

/// The flags, script and arguments for one rank: without those that choose hosts, ranks and a way to reach them.
std::vector<std::string> task_arguments(const Options& options);

}  // namespace deepspeed::launcher
