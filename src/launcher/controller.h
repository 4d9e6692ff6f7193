// A launch on several hosts, from the host where the user stands.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "launcher/console.h"
#include "launcher/host_link.h"
#include "launcher/messages.h"
#include "launcher/restart.h"
#include "launcher/signal_inbox.h"

namespace deepspeed::launcher {

struct ControllerSetup {
  StartOrder order;  ///< host_index is set for each; an empty master_addr and a master_port of 0 are found
  bool gpus_decide_slots = false;  ///< a host with GPUs gets a rank on each, whatever its slots in the order
  std::vector<std::vector<std::string>> commands;  ///< what starts each host's agent
  bool shows_pids = false;                         ///< --save_pid
  bool collapses_lines = false;                    ///< --collapse_lines
  std::chrono::seconds plan_patience{60};          ///< for an agent to get from its order to the start
  bool has_local_agents = false;                   ///< the commands are the agents themselves, not a way to them
};

/// [Note: How hosts end]
/// Agents watch their ranks as on one host ([Note: How ranks end]); this watches the agents. The first failure, of a
/// rank or of a host that is lost, ends the launch: every other agent is told, and gives its ranks 2 seconds. Of two
/// failures that come within a moment, one by a signal is the cause. Signals go to all agents, which give their ranks
/// 30 seconds; a second signal kills. An agent that does not answer in time is cut off, which it notices and ends its
/// ranks. Nothing is started before every host has said that it can. One thread, the main one.
class Controller {
 public:
  explicit Controller(ControllerSetup setup);
  ~Controller();

  /// Once. Its exit code: 0, the first failing rank's, 128 + signal, 1 for a lost host, 2 where a host refused to
  /// start.
  Outcome run();

 private:
  using Clock = std::chrono::steady_clock;
  enum class State { kConnecting, kPreparing, kRunning, kEnding };
  struct Cause {
    HostLink* link = nullptr;
    std::optional<Failure> failure;  // of a rank; empty: the host was lost
    Clock::time_point at;
  };

  void wait_for_events();
  Clock::time_point wake_at() const;
  void take_signals();
  void take_signal(const ReceivedSignal& signal);
  void suspend_together();
  void send_suspension(FrameKind kind);
  void reap();
  void take_frames(HostLink& link);
  void take(HostLink& link, const Frame& frame);
  void take_line(HostLink& link, const Frame& frame);
  void take_end(HostLink& link, int exit_code);
  void show_error_lines(HostLink& link);
  void give_credit();

  void advance();  // from connecting to running
  bool all_at_least(HostLink::State state) const;
  void place_ranks();
  void send_orders();
  void start();
  void note(Cause cause);
  void lose(HostLink& link);
  void begin_ending(Clock::duration patience);
  void send_all(FrameKind kind, std::string_view payload = {});
  void check_deadline();
  bool is_finished() const;

  void compare_versions();
  void call_off();
  bool is_at_fault(const HostLink& link) const;
  int report();
  std::string describe(const Cause& cause) const;
  std::string reason() const;

  ControllerSetup setup_;
  std::unique_ptr<SignalInbox> signals_;
  std::unique_ptr<Console> console_;
  std::vector<std::unique_ptr<HostLink>> links_;
  State state_ = State::kConnecting;
  bool was_started_ = false;
  Clock::time_point deadline_;  // while connecting, preparing or ending
  std::optional<Cause> cause_;
  std::vector<std::string> lost_hosts_;
  std::string faults_;  // why nothing was started
  int faults_exit_code_ = 0;
  int received_signal_ = 0;
  int num_signals_ = 0;
  Clock::time_point received_at_;
};

}  // namespace deepspeed::launcher
