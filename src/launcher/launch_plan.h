// What a launch does, before it does anything: hosts, ranks, their environment, command, cores and log files.
// Pure: everything about the machine is an argument.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "launcher/command.h"
#include "launcher/hostfile.h"
#include "launcher/machine.h"
#include "launcher/options.h"

namespace deepspeed::launcher {

struct RankPlan {
  int rank = 0;                                                  ///< global: the host's offset plus local_rank
  int local_rank = 0;                                            ///< position on its host
  std::vector<std::pair<std::string, std::string>> environment;  ///< set on top of the launcher's own
  std::vector<std::string> command;
  std::vector<int> cores;          ///< CPUs to run on; empty: those of the launcher
  std::filesystem::path log_file;  ///< empty: output goes to the console
};

struct LaunchPlan {
  std::vector<Host> hosts;  ///< all hosts of the launch, in rank order
  size_t host_index = 0;    ///< which of them this plan is for
  bool on_gpus = false;
  std::string master_addr;
  int master_port = 0;
  std::vector<RankPlan> ranks;  ///< of this host, in order of local_rank
  int world_size = 0;
};

/// Facts that the plan needs and does not look up itself.
struct PlanInputs {
  Machine machine;
  Environment environment;
  std::optional<std::string> hostfile_text;  ///< absent: this host with all that it has
  std::string hostfile_path;                 ///< for messages
  Command command;
  int master_port = 0;
  std::string timestamp;  ///< YYYYmmddHHMMSS, begins the names of log files
};

/// Throws ValueError for slots, GPUs or cores that are not there, NotSupported where another host would be needed.
LaunchPlan plan_launch(const Options& options, const PlanInputs& inputs);

}  // namespace deepspeed::launcher
