// One end of a control connection: frames over two descriptors, with heartbeats.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/descriptor.h"
#include "launcher/frame.h"
#include "launcher/output_queue.h"
#include "launcher/watch.h"

namespace deepspeed::launcher {

/// See [Note: Control connection]. Borrows both descriptors, which must be pipes or sockets of nobody else, and makes
/// them not block. One thread; nothing waits but flush().
class FrameChannel {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kBeatInterval{2};
  static constexpr std::chrono::seconds kLongestSilence{8};

  FrameChannel(int read_fd, int write_fd, bool skips_to_preamble);

  void send(FrameKind kind, std::string_view payload = {});
  /// What comes before frames: the agent's preamble.
  void send_bytes(std::string_view bytes) { queue_.push(bytes); }
  void add_watches(std::vector<Watch>& watches);
  /// Frames that have come; heartbeats are taken in. Throws ValueError where what comes is no frame.
  std::optional<Frame> next();

  /// Sends a heartbeat where one is due; returns whether the other side has been silent for too long. A gap between two
  /// calls that is longer than the other side's beats was our own sleep and counts for nothing.
  bool keep_alive();
  Clock::time_point next_beat() const { return last_sent_ + kBeatInterval; }
  std::chrono::milliseconds silence() const;

  /// All that the other side has sent is here, and no more will come.
  bool is_at_end() const { return is_at_end_; }
  /// It takes nothing more, or sends nothing more; what it has sent may still be on its way.
  bool is_closed() const { return is_at_end_ || queue_.is_broken(); }
  bool is_drained() const { return queue_.is_empty() || queue_.is_broken(); }
  const std::string& skipped() const { return decoder_.skipped(); }
  const std::string& unread() const { return decoder_.unread(); }
  bool has_begun() const { return decoder_.has_begun(); }

 private:
  void read();

  int read_fd_;
  OutputQueue queue_;
  FrameDecoder decoder_;
  bool is_at_end_ = false;
  Clock::time_point last_sent_;
  Clock::time_point last_heard_;
  Clock::time_point last_look_;
};

}  // namespace deepspeed::launcher
