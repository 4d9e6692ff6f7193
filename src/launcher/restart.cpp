// The bound, the hosts that are left, and the line that says so.
#include "launcher/restart.h"

#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

std::vector<Host> without(const std::vector<Host>& hosts, const std::vector<std::string>& lost) {
  std::vector<Host> left;
  std::copy_if(hosts.begin(), hosts.end(), std::back_inserter(left),
               [&](const Host& host) { return std::find(lost.begin(), lost.end(), host.name) == lost.end(); });
  return left;
}

std::string in_words(size_t num_hosts) { return concat(num_hosts, num_hosts == 1 ? " host" : " hosts"); }

}  // namespace

Decision decide_on_restart(const RestartPolicy& policy, const std::vector<Host>& hosts, const Outcome& outcome,
                           int num_restarts) {
  const bool has_begun = outcome.was_started || num_restarts > 0;
  const bool is_refusal = !outcome.was_started && outcome.lost_hosts.empty();
  if (policy.max_restarts == 0 || outcome.exit_code == 0 || outcome.is_by_signal || !has_begun || is_refusal) return {};
  if (num_restarts >= policy.max_restarts) {
    return {.line = concat("deepspeed: ", outcome.reason, "; not started again, --max_restarts ", policy.max_restarts,
                           " is used up.\n")};
  }
  auto left = policy.min_nodes > 0 ? without(hosts, outcome.lost_hosts) : hosts;
  if (left.size() < static_cast<size_t>(policy.min_nodes)) {
    return {.line = concat("deepspeed: ", outcome.reason, "; not started again, ", in_words(left.size()),
                           " left and --min_nodes ", policy.min_nodes, ".\n")};
  }
  std::string line = concat("deepspeed: ", outcome.reason, "; restart ", num_restarts + 1, " of ", policy.max_restarts,
                            " on ", in_words(left.size()), ".\n");
  return {.starts_again = true, .hosts = std::move(left), .line = std::move(line)};
}

std::vector<std::pair<std::string, std::string>> restart_variables(const RestartPolicy& policy, int num_restarts) {
  if (policy.max_restarts == 0) return {};
  const std::string count = std::to_string(num_restarts);
  return {{"DEEPSPEED_RESTART_COUNT", count},
          {"TORCHELASTIC_RESTART_COUNT", count},
          {"TORCHELASTIC_MAX_RESTARTS", std::to_string(policy.max_restarts)}};
}

std::string failure_in_short(const Failure& failure) {
  const int status = failure.wait_status;
  const char* name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : nullptr;
  return concat("rank ", failure.rank, " failed (",
                name != nullptr ? concat("SIG", name) : concat("exit code ", exit_code_of(status)), ")");
}

}  // namespace deepspeed::launcher
