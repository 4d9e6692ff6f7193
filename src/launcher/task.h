// This process as one of several that srun or mpirun has started with the same `deepspeed` command. Pure.
#pragma once

#include <optional>
#include <string>

#include "launcher/command.h"

namespace deepspeed::launcher {

struct Task {
  std::string started_by;  ///< "srun" or "mpirun"
  int rank = 0;            ///< of num_tasks
  int num_tasks = 1;
  int local_rank = 0;  ///< of local_size, those on its host
  int local_size = 1;
  int host_index = 0;        ///< with srun: among the step's hosts
  bool is_for_host = false;  ///< it is its host's only one, and starts a rank on each slot there (srun alone)
};

/// Nothing for a process that is alone. mpirun counts before srun, which Open MPI and MPICH use to reach their hosts.
/// Throws ValueError where a variable does not hold what it should.
std::optional<Task> find_task(const Environment& environment);

}  // namespace deepspeed::launcher
