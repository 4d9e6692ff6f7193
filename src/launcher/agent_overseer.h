// The launcher on another host, as the supervisor of this host's ranks sees it.
#pragma once

#include <sys/types.h>

#include <deque>
#include <string>

#include "launcher/frame_channel.h"
#include "launcher/line_sink.h"
#include "launcher/overseer.h"

namespace deepspeed::launcher {

/// Lines wait here until the launcher gives credit for them; all else is sent at once. Borrows the channel. `guard` is
/// the parent process, whose end means that of the connection. One thread.
class AgentOverseer final : public Overseer, private LineSink {
 public:
  AgentOverseer(FrameChannel& channel, pid_t guard);

  LineSink& lines() override { return *this; }
  bool has_user_streams() const override { return false; }
  void add_watches(std::vector<Watch>& watches) override { channel_.add_watches(watches); }
  std::optional<Demand> next_demand() override;
  std::optional<Clock::time_point> wake_at() const override;
  void take_failure(const Failure& failure) override;
  void say(const std::string& text) override;

  /// All ranks are gone: tells so, delivers the lines that wait, and returns when all is written or the connection is
  /// lost.
  void finish(int exit_code);
  bool is_lost() const { return is_lost_; }

 private:
  void write(const LineSource& source, const Line& line) override;
  void show_begun(const LineSource&, std::string_view) override {}  // only whole lines travel
  bool is_full(int channel) const override;
  bool is_broken(int) const override { return false; }  // a lost connection ends the ranks anyway
  std::optional<TerminalModel> terminal_for(const LineSource&) const override { return std::nullopt; }
  bool is_shared() const override { return false; }

  void look();  // at frames and the clock
  void take(const Frame& frame);
  void send_lines();
  void lose();

  FrameChannel& channel_;
  pid_t guard_;
  bool is_lost_ = false;
  bool is_suspended_ = false;  // with the launcher
  int64_t credit_bytes_ = 0;
  std::deque<std::string> waiting_lines_;
  size_t waiting_bytes_ = 0;
  std::deque<Demand> demands_;
};

}  // namespace deepspeed::launcher
