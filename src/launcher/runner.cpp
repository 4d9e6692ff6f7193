// Which ways of reaching hosts there are, and what each needs.
#include "launcher/runner.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

bool is_this_host(const std::string& name, const Machine& machine) { return machine.names.count(name) == 1; }

Runner by_hand(const SeveralHostsOptions& options, size_t num_hosts) {
  DS_CHECK(options.node_rank >= 0 && static_cast<size_t>(options.node_rank) < num_hosts, ValueError,
           "[launcher] --no_ssh: --node_rank: got ", options.node_rank, ", expected this host's number, 0 to ",
           num_hosts - 1, ". The same command is started on each host, with a number of its own.");
  return Runner::kByHand;
}

void check_name(const std::string& name) {
  constexpr std::array<std::string_view, 8> kNames = {"", "ssh", "slurm", "local", "pdsh", "openmpi", "mpich", "impi"};
  DS_CHECK(std::find(kNames.begin(), kNames.end(), name) != kNames.end(), NotSupported, "[launcher] --launcher ", name,
           ": this version has ssh (the default), slurm, local, pdsh, openmpi, mpich and impi. Leave the flag out: ssh "
           "needs no other program.");
}

Runner runner_of(const Options& options, const PlanInputs& inputs) {
  const SeveralHostsOptions& several = options.several_hosts;
  check_name(several.launcher);
  const std::vector<Host>& hosts = inputs.hosts;
  if (several.no_ssh) return by_hand(several, hosts.size());
  DS_CHECK(several.node_rank == -1, ValueError, "[launcher] --node_rank ", several.node_rank,
           " is for hosts on which the command is started by hand: it needs --no_ssh.");
  const bool is_one = hosts.size() == 1 && !several.force_multi;
  const std::string& name = several.launcher;
  if (name == "local") return is_one ? Runner::kHere : Runner::kLocalAgents;
  if (is_one && is_this_host(hosts.front().name, inputs.machine)) return Runner::kHere;
  if (name == "slurm") {
    DS_CHECK(
        inputs.job, ValueError,
        "[launcher] --launcher slurm: this is no Slurm job (SLURM_JOB_ID and SLURM_JOB_NODELIST are not set). Begin "
        "one with salloc or sbatch, such as `salloc --nodes 2 deepspeed train.py`.");
    return Runner::kSlurm;
  }
  if (name == "pdsh") return Runner::kPdsh;
  if (name == "openmpi") return Runner::kOpenMpi;
  if (name == "mpich" || name == "impi") return Runner::kHydra;
  return name.empty() && inputs.job && !inputs.hostfile_text ? Runner::kSlurm : Runner::kSsh;
}

// The commands that pdsh starts have the flags that were meant for it.
bool is_for_pdsh(const Options& options) { return options.several_hosts.launcher == "pdsh"; }

}  // namespace

Runner choose_runner(const Options& options, const PlanInputs& inputs) {
  const Runner runner = runner_of(options, inputs);
  const bool has_ssh = runner == Runner::kSsh || runner == Runner::kPdsh || runner == Runner::kHere;
  DS_CHECK(has_ssh || is_for_pdsh(options) || options.several_hosts.ssh_port.empty(), ValueError,
           "[launcher] --ssh_port ", options.several_hosts.ssh_port,
           ": this launch reaches its hosts without an ssh of ours. Leave the flag out, or pass --launcher ssh.");
  return runner;
}

std::vector<std::string> flags_without_effect(Runner runner, const Options& options) {
  std::vector<std::string> flags;
  const bool starts_nothing_else = runner == Runner::kLocalAgents || runner == Runner::kByHand;
  if (starts_nothing_else && !is_for_pdsh(options) && !options.several_hosts.launcher_args.empty()) {
    flags.emplace_back("--launcher_args");
  }
  const bool is_mpirun = runner == Runner::kOpenMpi || runner == Runner::kHydra;
  if (is_mpirun && options.collapse_lines) flags.emplace_back("--collapse_lines");
  return flags;
}

}  // namespace deepspeed::launcher
