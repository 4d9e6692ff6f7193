// The probes of all hosts of a check, from where the user stands. See [Note: Probe].
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hosts/no_answer.h"
#include "hosts/remote_process.h"

namespace deepspeed::hosts {

struct ProbeTarget {
  std::string host;
  std::vector<std::string> command;  ///< ssh and its words
};

/// One answer, and this host's clock around it.
struct ProbeAnswer {
  std::string line;
  double sent_unix_s = 0;
  double received_unix_s = 0;
};

/// Starts a probe on each host when it is made; they end when it is destroyed. A host that has failed once is asked
/// nothing more. One thread, the main one.
class ProbeSessions {
 public:
  using Clock = std::chrono::steady_clock;

  /// `version` is the one that probes must have.
  ProbeSessions(const std::vector<ProbeTarget>& targets, std::string version);
  ~ProbeSessions();

  /// `requests[i]` go to host i, each when the one before it is answered; the answers come in the same order, fewer
  /// where the host failed. Waits until all have answered or failed; at the deadline who has not, fails.
  std::vector<std::vector<ProbeAnswer>> ask(const std::vector<std::vector<std::string>>& requests,
                                            Clock::time_point deadline);

  size_t size() const { return sessions_.size(); }
  /// Why the host gives no answers; nothing where it does.
  const std::optional<NoAnswer>& failure(size_t host) const;

 private:
  struct Session;
  void take_line(Session& session, bool is_error, std::string_view line);
  void fail_if_over(Session& session);

  std::string version_;
  Clock::time_point started_at_;
  std::vector<std::unique_ptr<Session>> sessions_;
};

}  // namespace deepspeed::hosts
