// Which of Slurm's variables count where.
#include "launcher/slurm_job.h"

#include <numeric>

#include "deepspeed/error.h"
#include "launcher/environment_values.h"
#include "launcher/slurm_lists.h"

namespace deepspeed::launcher {
namespace {

// Batch scripts and the shells of salloc are steps for Slurm too, with numbers from here on.
constexpr int64_t kFirstSpecialStep = 0xfffffff0;
// Below the ports that the kernel hands out by itself, above those of known services.
constexpr int64_t kFirstPort = 20000;
constexpr int64_t kNumPorts = 10000;

int64_t number(const Environment& environment, const std::string& name) {
  return variable_number(environment, name, "Slurm");
}

// One task a host where nobody has asked for tasks.
std::vector<int> task_counts(const Environment& environment, bool is_task, size_t num_hosts) {
  const std::string name = is_task ? "SLURM_STEP_TASKS_PER_NODE" : "SLURM_TASKS_PER_NODE";
  const bool was_asked = is_task || environment.count("SLURM_NTASKS") + environment.count("SLURM_NTASKS_PER_NODE") > 0;
  // Behind `srun --pty` it may be about the shell.
  const bool is_about_job = is_task || environment.count("SLURM_PTY_PORT") == 0;
  if (!was_asked || !is_about_job || environment.count(name) == 0) return std::vector<int>(num_hosts, 1);
  auto counts = expand_counts(variable(environment, name), name);
  DS_CHECK(counts.size() == num_hosts, ValueError, "[launcher] ", name, "=", variable(environment, name), " is about ",
           counts.size(), " hosts, but the list of hosts has ", num_hosts, ". Set both as Slurm does.");
  return counts;
}

}  // namespace

bool is_slurm_task(const Environment& environment) {
  return environment.count("SLURM_JOB_ID") == 1 && environment.count("SLURM_STEP_NODELIST") == 1 &&
         environment.count("SLURM_PROCID") == 1 && environment.count("SLURM_PTY_PORT") == 0 &&
         number(environment, "SLURM_STEP_ID") < kFirstSpecialStep;
}

std::optional<SlurmJob> find_slurm_job(const Environment& environment) {
  if (environment.count("SLURM_JOB_ID") == 0) return std::nullopt;
  const bool is_task = is_slurm_task(environment);
  const std::string list_name = is_task ? "SLURM_STEP_NODELIST" : "SLURM_JOB_NODELIST";
  if (environment.count(list_name) == 0) return std::nullopt;  // a job that has no hosts yet
  SlurmJob job{
      .id = variable(environment, "SLURM_JOB_ID"), .hosts = {}, .this_host = variable(environment, "SLURMD_NODENAME")};
  for (std::string& name : expand_node_list(variable(environment, list_name), list_name)) {
    job.hosts.push_back({std::move(name), {}});
  }
  const auto counts = task_counts(environment, is_task, job.hosts.size());
  for (size_t i = 0; i < job.hosts.size(); ++i) {
    job.hosts[i].slots.resize(static_cast<size_t>(counts[i]));
    std::iota(job.hosts[i].slots.begin(), job.hosts[i].slots.end(), 0);
  }
  const int64_t step = is_task ? number(environment, "SLURM_STEP_ID") : 0;
  const int64_t seed = number(environment, "SLURM_JOB_ID") % kNumPorts * 31 + step;
  job.shared_port = static_cast<int>(kFirstPort + seed % kNumPorts);
  return job;
}

}  // namespace deepspeed::launcher
