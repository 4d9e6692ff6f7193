// Whether a launch that has failed is started again, and on which hosts. Pure.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "launcher/failure_report.h"
#include "launcher/hostfile.h"

namespace deepspeed::launcher {

struct RestartPolicy {
  int max_restarts = 0;  ///< --max_restarts
  int min_nodes = 0;     ///< --min_nodes: hosts that are enough; 0: all are needed
};

/// How one attempt ended.
struct Outcome {
  int exit_code = 0;
  bool was_started = true;    ///< ranks ran; else some host could not take part
  bool is_by_signal = false;  ///< to the launcher: somebody wants it to end
  std::string reason;         ///< in a few words, where exit_code is not 0: "rank 2 failed (exit code 7)"
  std::vector<std::string> lost_hosts = {};  ///< that are gone, or did not answer
};

struct Decision {
  bool starts_again = false;
  std::vector<Host> hosts = {};  ///< for the next attempt
  std::string line = {};         ///< for the user, with a newline; empty where there is nothing to say
};

/// After an attempt on `hosts` that had `num_restarts` before it. A launch that never began is not tried again, nor one
/// that was ended by a signal.
Decision decide_on_restart(const RestartPolicy& policy, const std::vector<Host>& hosts, const Outcome& outcome,
                           int num_restarts);

/// What tells each rank how often its launch was started again: DEEPSPEED_RESTART_COUNT, and the same as torchrun has
/// it. Empty where restarts were not asked for.
std::vector<std::pair<std::string, std::string>> restart_variables(const RestartPolicy& policy, int num_restarts);

/// "rank 2 failed (exit code 7)", "rank 0 failed (SIGKILL)".
std::string failure_in_short(const Failure& failure);

}  // namespace deepspeed::launcher
