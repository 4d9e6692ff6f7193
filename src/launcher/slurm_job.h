// The Slurm job around this process, as its environment tells. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "launcher/command.h"
#include "launcher/hostfile.h"

namespace deepspeed::launcher {

/// Hosts to launch on. In a job step that srun has started they are the step's; in the shell of salloc, in a batch
/// script and behind `srun --pty` they are the job's.
struct SlurmJob {
  std::string id;
  std::vector<Host> hosts =
      {};                      ///< a slot a task that Slurm was asked to run there; one where it was not asked for any
  std::string this_host = {};  ///< as Slurm calls it; empty where this process is outside of the job's hosts (salloc)
  int shared_port = 0;         ///< for rank 0: the same for all that ask in one step, another one in most other steps
};

/// Nothing outside of a job. Throws ValueError where a variable does not hold what Slurm puts there.
std::optional<SlurmJob> find_slurm_job(const Environment& environment);

/// Whether srun has started this process as a task of a step, not as somebody's shell.
bool is_slurm_task(const Environment& environment);

}  // namespace deepspeed::launcher
