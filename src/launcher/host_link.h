// One host of a launch, as the launcher sees it: the ssh (or local agent) that leads there and what came over it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/descriptor.h"
#include "launcher/frame_channel.h"
#include "launcher/hostfile.h"
#include "launcher/line_splitter.h"
#include "launcher/messages.h"
#include "launcher/python_versions.h"
#include "launcher/watch.h"

namespace deepspeed::launcher {

/// Starts the program when it is made; kills it when it is destroyed, which the agent notices. One thread.
class HostLink {
 public:
  enum class State {
    kConnecting,  ///< no word from an agent yet
    kGreeted,     ///< hello() is there
    kReady,       ///< it has planned, and waits for the start
    kRunning,     ///< ranks run
    kEnded,       ///< ranks are gone; lines may follow
    kDone,        ///< all is said
    kLost         ///< the connection is gone before its time
  };

  /// `is_local`: the command is the agent itself, which ends its ranks when it is killed; else something that leads to
  /// it, which is killed with all of its process group.
  HostLink(Host host, const std::vector<std::string>& command, bool is_local = false);
  ~HostLink();
  HostLink(const HostLink&) = delete;
  HostLink& operator=(const HostLink&) = delete;

  /// Before the ranks start: which they are.
  void place(const Host& host, int first_rank) {
    host_ = host;
    first_rank_ = first_rank;
  }
  const Host& host() const { return host_; }
  int first_rank() const { return first_rank_; }
  FrameChannel& channel() { return *channel_; }
  void add_watches(std::vector<Watch>& watches);
  /// What the program has written on standard error since the last call, in whole lines.
  std::vector<std::string> take_error_lines();

  /// Sends a heartbeat where one is due; whether the connection is lost: closed, silent for too long, or nonsense.
  bool is_lost();
  void note_exit(int wait_status) { exit_code_ = exit_code_of(wait_status); }
  /// The launch is called off since some host is not ready after so long; this one may be.
  void note_lateness(std::chrono::seconds patience) { patience_ = patience; }
  void note_nonsense(const std::string& what) { nonsense_ = what; }
  void kill();

  /// Why the connection was lost, in words, with the program's last own ones.
  std::string describe_loss() const;
  /// "rank 3" or "ranks 4 to 7".
  std::string ranks_in_words() const;

  State state = State::kConnecting;
  Hello hello;
  std::optional<PythonVersions> versions;  ///< with kReady, where the ranks run Python
  std::string refusal;                     ///< why its agent does not start; empty: no such thing
  int ranks_exit_code = 0;                 ///< with kEnded
  int64_t taken_bytes = 0;                 ///< of lines, since the last credit
  pid_t pid() const { return pid_; }
  bool is_running() const { return !exit_code_; }
  /// 128 + the signal that ended the agent, where it ended by itself and that is known; else 0.
  int signal_exit_code() const;

 private:
  void read_errors();

  Host host_;
  bool is_local_;
  int first_rank_ = 0;
  pid_t pid_ = -1;
  core::Descriptor in_, out_, err_;
  std::unique_ptr<FrameChannel> channel_;
  LineSplitter error_splitter_;
  std::vector<std::string> error_lines_;
  LastLines last_error_lines_;
  std::optional<int> exit_code_;
  bool was_killed_ = false;  // by us
  bool was_silent_ = false;
  std::string nonsense_;              // what came that was no frame
  std::chrono::seconds patience_{0};  // over, where it is not 0
};

}  // namespace deepspeed::launcher
