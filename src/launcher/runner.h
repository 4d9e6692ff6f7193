// How the ranks of a launch are started. Pure.
#pragma once

#include <vector>

#include "launcher/hostfile.h"
#include "launcher/machine.h"
#include "launcher/options.h"

namespace deepspeed::launcher {

enum class Runner {
  kHere,        ///< all ranks on this host, by this process
  kByHand,      ///< this host's ranks only: the command is started on each host (--no_ssh)
  kSsh,         ///< an agent on each host, over ssh
  kLocalAgents  ///< an agent for each host of the hostfile, all on this host (--launcher local)
};

/// Throws NotSupported for runners that this version does not have, ValueError where --no_ssh and --node_rank do not
/// fit each other and the hosts.
Runner choose_runner(const Options& options, const std::vector<Host>& hosts, const Machine& machine);

}  // namespace deepspeed::launcher
