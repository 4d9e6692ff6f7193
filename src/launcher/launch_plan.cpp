// From options and facts to ranks.
#include "launcher/launch_plan.h"

#include <algorithm>
#include <numeric>
#include <sstream>

#include "core/log.h"
#include "core/subprocess.h"
#include "deepspeed/error.h"
#include "launcher/core_binding.h"
#include "launcher/environment_values.h"
#include "launcher/failure_report.h"

namespace deepspeed::launcher {
namespace {

constexpr const char* kThisHost = "localhost";

std::vector<int> first_slots(int count) {
  std::vector<int> slots(static_cast<size_t>(count));
  std::iota(slots.begin(), slots.end(), 0);
  return slots;
}

// The GPUs that a launch may pick from, by the names that CUDA_VISIBLE_DEVICES takes: slot i is names[i].
struct Gpus {
  std::vector<std::string> names;
  bool renamed = false;                    // by GPU or MIG identifiers
  std::string include;                     // what CUDA_VISIBLE_DEVICES asks for, as a host filter; empty: no wish
  std::vector<std::string> included = {};  // the same as names
};

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

// Where Slurm does not say which, it says how many.
void keep_those_of_job(const PlanInputs& inputs, Gpus& gpus) {
  const std::string allowed = variable(inputs.environment, "SLURM_GPUS_ON_NODE");
  if (is_number(allowed) && allowed.size() < 5) {
    gpus.names.resize(std::min(gpus.names.size(), static_cast<size_t>(std::stoi(allowed))));
  }
}

// CUDA stops reading the variable at the first entry that is no device ("-1" hides all).
std::vector<std::string> visible_entries(const std::string& value) {
  std::vector<std::string> entries;
  std::istringstream parts(value);
  for (std::string part; std::getline(parts, part, ',');) {
    const size_t first = part.find_first_not_of(' ');
    part = first == std::string::npos ? "" : part.substr(first, part.find_last_not_of(' ') - first + 1);
    if (!is_number(part) && !part.starts_with("GPU-") && !part.starts_with("MIG-")) break;
    entries.push_back(part);
  }
  return entries;
}

Gpus find_gpus(const PlanInputs& inputs) {
  Gpus gpus;
  for (int i = 0; i < inputs.machine.num_gpus; ++i) gpus.names.push_back(std::to_string(i));
  const bool is_in_job = inputs.environment.count("SLURM_JOB_ID") == 1;
  const auto visible = inputs.environment.find("CUDA_VISIBLE_DEVICES");
  if (visible == inputs.environment.end() && is_in_job) keep_those_of_job(inputs, gpus);
  if (visible == inputs.environment.end() || gpus.names.empty()) return gpus;
  const auto entries = visible_entries(visible->second);
  if (entries.empty() || is_in_job) {  // what the job has here: slot i is the i-th of them
    gpus.names = entries;
    gpus.renamed = is_in_job;
  } else if (std::all_of(entries.begin(), entries.end(), is_number)) {
    gpus.included = entries;
    for (const std::string& entry : entries)
      gpus.include += (gpus.include.empty() ? std::string(kThisHost) + ":" : ",") + entry;
  } else {
    gpus.names = entries;
    gpus.renamed = true;
  }
  return gpus;
}

// Where slots are counted and not chosen, slot i is the i-th GPU that CUDA_VISIBLE_DEVICES asks for, as in a job.
Gpus only_included(Gpus gpus) {
  if (gpus.include.empty()) return gpus;
  return {.names = gpus.included, .renamed = true, .include = {}};
}

// Without a hostfile, and the command started by hand on each of N equal hosts.
bool are_hosts_equal(const Options& options, const PlanInputs& inputs) {
  const SeveralHostsOptions& several = options.several_hosts;
  return !inputs.hostfile_text && !inputs.job && several.no_ssh && several.num_nodes > 1;
}

Gpus find_gpus(const Options& options, const PlanInputs& inputs) {
  const Gpus gpus = find_gpus(inputs);
  return are_hosts_equal(options, inputs) && !options.num_gpus ? only_included(gpus) : gpus;
}

bool wants_gpus(const PlanInputs& inputs, const Gpus& gpus) {
  const std::string accelerator = variable(inputs.environment, "DS_ACCELERATOR");
  DS_CHECK(accelerator.empty() || accelerator == "cpu" || accelerator == "cuda", NotSupported,
           "[launcher] DS_ACCELERATOR=", accelerator, ": this version runs on cuda and cpu.");
  DS_CHECK(accelerator != "cuda" || !gpus.names.empty(), ValueError,
           "[launcher] DS_ACCELERATOR=cuda, but no GPU is visible: no /dev/nvidia0 and so on, or CUDA_VISIBLE_DEVICES "
           "hides them.");
  return accelerator != "cpu" && !gpus.names.empty();
}

HostFilter filter_of(const Options& options) {
  if (!options.exclude.empty()) return {options.exclude, "--exclude", true};
  return {options.include, "--include", false};
}

// On CPU hosts slots are only labels, so that a filter may name any.
int num_cpu_slots(const Options& options, const Machine& machine) {
  int count = machine.num_sockets();
  if (options.include.empty()) return count;
  for (const Host& host : parse_host_filter(filter_of(options))) {
    if (!host.slots.empty()) count = std::max(count, host.slots.back() + 1);
  }
  return count;
}

// Names are only for messages.
std::vector<Host> equal_hosts(int num_hosts, int num_slots) {
  std::vector<Host> hosts;
  for (int i = 0; i < num_hosts; ++i) hosts.push_back({concat("node", i), first_slots(num_slots)});
  return hosts;
}

// How many GPUs the job has on each host is only known there.
std::vector<Host> hosts_of_job(const Options& options, const PlanInputs& inputs) {
  const HostFilter filter = filter_of(options);
  const auto named_hosts = filter.text.empty() ? std::vector<Host>() : parse_host_filter(filter);
  for (const Host& host : named_hosts) {
    DS_CHECK(host.slots.empty(), ValueError, "[launcher] ", filter.origin, ": got slots of host \"", host.name,
             "\"; in a Slurm job name hosts only, and say how many ranks each gets with --num_gpus.");
  }
  auto hosts = inputs.job->hosts;
  const bool is_this_one = hosts.size() == 1 && hosts.front().name == inputs.job->this_host;
  const bool others_do_the_same = options.several_hosts.no_ssh || is_slurm_task(inputs.environment);
  if (!is_this_one && !others_do_the_same) return hosts;
  const int num_gpus = num_usable_gpus(inputs.machine, inputs.environment);
  for (Host& host : hosts) {
    if (num_gpus > 0) host.slots = first_slots(num_gpus);  // no host can ask another: they are taken for equal
  }
  return hosts;
}

std::vector<Host> host_pool(const Options& options, const PlanInputs& inputs) {
  if (inputs.hostfile_text) return parse_hostfile(*inputs.hostfile_text, inputs.hostfile_path);
  if (inputs.job) return hosts_of_job(options, inputs);
  const Gpus gpus = find_gpus(options, inputs);
  const bool on_gpus = wants_gpus(inputs, gpus);
  const int count = on_gpus ? static_cast<int>(gpus.names.size()) : num_cpu_slots(options, inputs.machine);
  const SeveralHostsOptions& several = options.several_hosts;
  if (are_hosts_equal(options, inputs)) return equal_hosts(several.num_nodes, count);
  DS_CHECK(several.num_nodes <= 1, ValueError, "[launcher] --num_nodes ", several.num_nodes,
           " needs to know which hosts: write a hostfile and add --hostfile FILE.");
  return {{kThisHost, first_slots(count)}};
}

void take_first_hosts(const Options& options, const PlanInputs& inputs, std::vector<Host>& pool) {
  const int num_nodes = options.several_hosts.num_nodes;
  if (num_nodes == -1) return;
  DS_CHECK(static_cast<size_t>(num_nodes) <= pool.size(), ValueError, "[launcher] --num_nodes ", num_nodes, ": ",
           inputs.hostfile_text || !inputs.job ? inputs.hostfile_path : concat("Slurm job ", inputs.job->id), " has ",
           pool.size(), " hosts.");
  pool.resize(static_cast<size_t>(num_nodes));
}

std::string visible_devices(const Host& host, const Gpus& gpus) {
  std::string list;
  for (const int slot : host.slots) {
    DS_CHECK(static_cast<size_t>(slot) < gpus.names.size(), ValueError, "[launcher] GPU ", slot, " on host \"",
             host.name, "\": this machine has ", gpus.names.size(), gpus.renamed ? " in CUDA_VISIBLE_DEVICES" : "",
             ". Start fewer ranks, or set DS_ACCELERATOR=cpu for CPU ranks.");
    list += (list.empty() ? "" : ",") + gpus.names[static_cast<size_t>(slot)];
  }
  return list;
}

std::vector<std::vector<int>> plan_cores(const Options& options, const PlanInputs& inputs, int num_ranks) {
  if (!options.bind_cores_to_rank) return std::vector<std::vector<int>>(static_cast<size_t>(num_ranks));
  DS_CHECK(inputs.environment.count("KMP_AFFINITY") == 0, ValueError,
           "[launcher] --bind_cores_to_rank and KMP_AFFINITY both place threads on cores. Unset KMP_AFFINITY.");
  std::vector<int> cores;
  if (options.bind_core_list.empty()) {
    for (const Core& core : inputs.machine.cores) cores.push_back(core.cpu);
  } else {
    cores = parse_core_list(options.bind_core_list);
  }
  return share_cores(cores, num_ranks);
}

// A thread a core and no more: ranks that each start a thread on every core slow each other down.
std::string omp_num_threads(const PlanInputs& inputs, const std::vector<int>& bound_cores, int num_ranks) {
  if (!bound_cores.empty()) return std::to_string(bound_cores.size());
  const std::string chosen = variable(inputs.environment, "OMP_NUM_THREADS");
  if (!chosen.empty()) return chosen;
  return std::to_string(std::max<size_t>(1, inputs.machine.cores.size() / static_cast<size_t>(num_ranks)));
}

// Where a rank stands in its launch.
struct Place {
  int rank = 0;
  int local_rank = 0;
  int local_size = 1;
  int host_index = 0;
  int num_hosts = 0;  // 0: not known
};

RankPlan plan_rank(const Options& options, const PlanInputs& inputs, const LaunchPlan& launch, const Place& place) {
  RankPlan rank;
  rank.local_rank = place.local_rank;
  rank.rank = place.rank;
  rank.command = inputs.command.for_local_rank(place.local_rank);
  rank.environment = {{"MASTER_ADDR", launch.master_addr},
                      {"MASTER_PORT", std::to_string(launch.master_port)},
                      {"WORLD_SIZE", std::to_string(launch.world_size)},
                      {"RANK", std::to_string(place.rank)},
                      {"LOCAL_RANK", std::to_string(place.local_rank)},
                      {"LOCAL_SIZE", std::to_string(place.local_size)}};
  if (place.num_hosts > 0) {
    rank.environment.emplace_back("CROSS_RANK", std::to_string(place.host_index));
    rank.environment.emplace_back("CROSS_SIZE", std::to_string(place.num_hosts));
  }
  if (!options.rank_log_folder.empty()) {
    rank.log_file =
        std::filesystem::path(options.rank_log_folder) / concat(inputs.timestamp, "_rank", rank.rank, ".log");
  }
  return rank;
}

// All of them, so that the slots of a host are the places in the list.
std::string joined_names(const Gpus& gpus) {
  std::string list;
  for (const std::string& name : gpus.names) list += (list.empty() ? "" : ",") + name;
  return list;
}

}  // namespace

std::vector<Host> choose_hosts(const Options& options, const PlanInputs& inputs) {
  auto pool = host_pool(options, inputs);
  take_first_hosts(options, inputs, pool);
  if (options.num_gpus) {
    for (Host& host : pool) host.slots = first_slots(*options.num_gpus);
    return pool;
  }
  HostFilter filter = filter_of(options);
  const bool is_here_alone = !inputs.hostfile_text && !inputs.job && pool.size() == 1;
  if (is_here_alone && filter.text.empty()) {
    const Gpus gpus = find_gpus(inputs);
    if (wants_gpus(inputs, gpus)) filter = {gpus.include, "CUDA_VISIBLE_DEVICES", false};
  }
  auto hosts = select_hosts(pool, filter);
  std::erase_if(hosts, [](const Host& host) { return host.slots.empty(); });
  DS_CHECK(!hosts.empty(), ValueError, "[launcher] no slot to run on.");
  return hosts;
}

LaunchPlan plan_launch(const Options& options, const PlanInputs& inputs) {
  const Gpus gpus = find_gpus(options, inputs);
  LaunchPlan launch;
  launch.on_gpus = wants_gpus(inputs, gpus);
  launch.hosts = inputs.hosts;
  launch.host_index = inputs.host_index;
  launch.master_addr = inputs.master_addr;
  launch.master_port = inputs.master_port;

  int first_rank = 0;
  for (size_t i = 0; i < launch.hosts.size(); ++i) {
    if (i == launch.host_index) first_rank = launch.world_size;
    launch.world_size += static_cast<int>(launch.hosts[i].slots.size());
  }
  const Host& host = launch.hosts[launch.host_index];
  const int num_ranks = static_cast<int>(host.slots.size());
  const auto cores = plan_cores(options, inputs, num_ranks);
  for (int local_rank = 0; local_rank < num_ranks; ++local_rank) {
    RankPlan rank = plan_rank(options, inputs, launch,
                              {.rank = first_rank + local_rank,
                               .local_rank = local_rank,
                               .local_size = num_ranks,
                               .host_index = static_cast<int>(launch.host_index),
                               .num_hosts = static_cast<int>(launch.hosts.size())});
    rank.cores = cores[static_cast<size_t>(local_rank)];
    rank.environment.emplace_back("OMP_NUM_THREADS", omp_num_threads(inputs, rank.cores, num_ranks));
    if (launch.on_gpus) rank.environment.emplace_back("CUDA_VISIBLE_DEVICES", visible_devices(host, gpus));
    launch.ranks.push_back(std::move(rank));
  }
  return launch;
}

int num_usable_gpus(const Machine& machine, const Environment& environment) {
  PlanInputs inputs;
  inputs.machine = machine;
  inputs.environment = environment;
  const Gpus gpus = find_gpus(inputs);
  if (!wants_gpus(inputs, gpus)) return 0;
  return gpus.include.empty() ? static_cast<int>(gpus.names.size())
                              : static_cast<int>(parse_host_filter({gpus.include, "", false}).front().slots.size());
}

LaunchPlan plan_task(const Options& options, const PlanInputs& inputs, const Task& task) {
  LaunchPlan launch;
  launch.hosts = {{inputs.machine.host_name, first_slots(task.local_size)}};
  launch.master_addr = inputs.master_addr;
  launch.master_port = inputs.master_port;
  launch.world_size = task.num_tasks;
  const Gpus gpus = only_included(find_gpus(inputs));
  launch.on_gpus = wants_gpus(inputs, gpus);
  RankPlan rank = plan_rank(
      options, inputs, launch,
      {.rank = task.rank,
       .local_rank = task.local_rank,
       .local_size = task.local_size,
       .host_index = task.host_index,
       .num_hosts = task.started_by == "srun" && inputs.job ? static_cast<int>(inputs.job->hosts.size()) : 0});
  rank.cores = plan_cores(options, inputs, task.local_size)[static_cast<size_t>(task.local_rank)];
  rank.environment.emplace_back("OMP_NUM_THREADS", omp_num_threads(inputs, rank.cores, task.local_size));
  if (launch.on_gpus) {
    DS_CHECK(static_cast<size_t>(task.local_rank) < gpus.names.size(), ValueError, "[launcher] rank ", task.rank,
             " is number ", task.local_rank, " on its host, but sees ", gpus.names.size(),
             " GPUs there (CUDA_VISIBLE_DEVICES). Let each task see all of its host's: --gpus-per-node and not "
             "--gpus-per-task, --gpu-bind=none.");
    rank.environment.emplace_back("CUDA_VISIBLE_DEVICES", joined_names(gpus));
  }
  launch.ranks = {std::move(rank)};
  return launch;
}

Environment environment_map() {
  Environment result;
  for (const std::string& variable : core::current_environment()) {
    const size_t equals = variable.find('=');
    if (equals != std::string::npos) result.emplace(variable.substr(0, equals), variable.substr(equals + 1));
  }
  return result;
}

void log_plan(const LaunchPlan& plan) {
  for (const RankPlan& rank : plan.ranks) {
    std::string variables;
    for (const auto& [name, value] : rank.environment) variables += concat(" ", name, "=", value);
    core::log_debug("rank ", rank.rank, ":", variables, " ", quoted(rank.command));
  }
}

}  // namespace deepspeed::launcher
