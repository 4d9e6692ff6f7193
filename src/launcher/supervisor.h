// Starts the ranks of one host, carries their output, and ends them together.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "launcher/failure_report.h"
#include "launcher/launch_plan.h"
#include "launcher/overseer.h"
#include "launcher/rank_streams.h"
#include "launcher/signal_inbox.h"

namespace deepspeed::launcher {

/// [Note: How ranks end]
/// The first rank that fails, or a signal to the launcher, ends the launch: every descendant gets that signal (SIGTERM
/// for a failure, and for SIGALRM), and SIGKILL later: 2 seconds after a failure, for the others wait for a peer that
/// is gone; 30 seconds after a signal, for ranks may save first, but 2 once all ranks are gone; at once on a second
/// signal (the same one within 0.3 s is its echo). SIGUSR1 and SIGUSR2 are for the ranks and go to them alone. The
/// launcher is a child subreaper, so a grandchild whose parent is gone becomes its child: when it has no children left,
/// nothing of the launch is left. If all ranks succeed, processes that they left running on purpose stay. If the
/// launcher itself is killed, the kernel kills the ranks. An overseer that says that the launch is over elsewhere
/// counts as a failure here, without a block about it. One thread, the main one.
class Supervisor {
 public:
  /// How a launch ended on this host.
  struct Result {
    int exit_code = 0;  ///< 0, the first failing rank's, or 128 + signal
    int signal = 0;     ///< that ended the launch; 0: none
  };

  /// Borrows both. From here on signals are taken, and every orphan of a descendant becomes our child.
  Supervisor(const LaunchPlan& plan, std::string host_name, Overseer& overseer);
  ~Supervisor();

  /// Returns when all ranks are gone and their output is with the overseer. Throws IoError where a rank cannot be
  /// started; ranks that did start are gone then.
  Result run();

 private:
  using Clock = std::chrono::steady_clock;
  enum class State { kRunning, kEnding, kKilling };
  struct Rank {
    const RankPlan* plan = nullptr;
    pid_t pid = -1;
    bool is_running = false;
    int wait_status = 0;
  };

  void start_ranks();
  void start(Rank& rank);
  bool inherits_output(const RankPlan& plan) const;
  bool shares_terminal() const;

  void wait_for_events();
  Clock::time_point wake_at() const;
  void take_signals();
  void take_signal(const ReceivedSignal& signal);
  void take_demands();
  void take_demand(const Demand& demand);
  void suspend_together();
  void reap();
  void note_failures(const std::vector<Rank*>& ended);
  bool is_finished() const;

  void begin_ending(int signal, Clock::duration grace);
  void begin_killing();
  void signal_all(int signal);
  void signal_ranks(int signal);
  void check_deadline();
  void say_what_is_waited_for();
  void say_what_is_stuck();
  Failure failure_of(const Rank& rank);

  const LaunchPlan& plan_;
  std::string host_name_;
  Overseer& overseer_;
  std::optional<OomKills> oom_kills_before_;
  std::unique_ptr<SignalInbox> signals_;
  RankStreams streams_;
  std::vector<Rank> ranks_;

  State state_ = State::kRunning;
  Clock::time_point deadline_;                       // of the state, unless running
  Clock::time_point next_kill_;                      // while killing: the next look for stragglers
  std::optional<Clock::time_point> say_waiting_at_;  // while ending after a signal, until it was said
  bool has_children_ = true;
  const Rank* first_failure_ = nullptr;
  int received_signal_ = 0;
  Clock::time_point received_at_;
};

}  // namespace deepspeed::launcher
