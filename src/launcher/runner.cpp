// Which ways of reaching hosts there are, and what each needs.
#include "launcher/runner.h"

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

}  // namespace

Runner choose_runner(const Options& options, const PlanInputs& inputs) {
  const SeveralHostsOptions& several = options.several_hosts;
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
  DS_CHECK(name.empty() || name == "ssh", NotSupported, "[launcher] --launcher ", name,
           ": this version has ssh (the default), slurm, local, pdsh, openmpi, mpich and impi. Leave the flag out: ssh "
           "needs no other program.");
  return name.empty() && inputs.job && !inputs.hostfile_text ? Runner::kSlurm : Runner::kSsh;
}

}  // namespace deepspeed::launcher
