// The variables of each MPI, then those of Slurm.
#include "launcher/task.h"

#include <algorithm>
#include <array>

#include "deepspeed/error.h"
#include "launcher/environment_values.h"
#include "launcher/slurm_job.h"

namespace deepspeed::launcher {
namespace {

// Names of rank, number of ranks, and the same on this host.
struct MpiNames {
  const char* rank;
  const char* size;
  const char* local_rank;
  const char* local_size;
};

constexpr std::array<MpiNames, 3> kMpiNames = {{
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE"},
    {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},  // MPICH, Intel MPI
}};

void check(const Task& task) {
  DS_CHECK(task.rank < task.num_tasks && task.local_rank < task.local_size && task.local_size <= task.num_tasks,
           ValueError, "[launcher] the variables of ", task.started_by, " do not fit each other: rank ", task.rank,
           " of ", task.num_tasks, ", on this host ", task.local_rank, " of ", task.local_size,
           ". Unset what is left over from another launch.");
}

bool has_all(const Environment& environment, const MpiNames& names) {
  return environment.count(names.rank) == 1 && environment.count(names.size) == 1 &&
         environment.count(names.local_rank) == 1 && environment.count(names.local_size) == 1;
}

Task mpi_task(const Environment& environment, const MpiNames& names) {
  const auto number = [&](const char* name) { return static_cast<int>(variable_number(environment, name, "mpirun")); };
  return {.started_by = "mpirun",
          .rank = number(names.rank),
          .num_tasks = number(names.size),
          .local_rank = number(names.local_rank),
          .local_size = number(names.local_size)};
}

Task slurm_task(const Environment& environment) {
  const auto number = [&](const char* name) { return static_cast<int>(variable_number(environment, name, "srun")); };
  const auto hosts = find_slurm_job(environment)->hosts;
  Task task{.started_by = "srun",
            .rank = number("SLURM_PROCID"),
            .num_tasks = number("SLURM_STEP_NUM_TASKS"),
            .local_rank = number("SLURM_LOCALID"),
            .host_index = number("SLURM_NODEID")};
  const auto num_hosts = static_cast<int>(hosts.size());
  DS_CHECK(task.host_index < num_hosts, ValueError, "[launcher] SLURM_NODEID=", task.host_index, ", but the step has ",
           num_hosts, " hosts. Set it as Slurm does.");
  task.local_size = static_cast<int>(hosts[static_cast<size_t>(task.host_index)].slots.size());
  task.is_for_host = std::all_of(hosts.begin(), hosts.end(), [](const Host& host) { return host.slots.size() == 1; });
  return task;
}

}  // namespace

std::optional<Task> find_task(const Environment& environment) {
  std::optional<Task> task;
  const auto mpi = std::find_if(kMpiNames.begin(), kMpiNames.end(),
                                [&](const MpiNames& names) { return has_all(environment, names); });
  if (mpi != kMpiNames.end()) {
    task = mpi_task(environment, *mpi);
  } else if (is_slurm_task(environment)) {
    task = slurm_task(environment);
  }
  if (task) check(*task);
  return task && task->num_tasks > 1 ? task : std::nullopt;
}

}  // namespace deepspeed::launcher
