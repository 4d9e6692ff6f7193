// Frames to demands, lines to frames.
#include "launcher/agent_overseer.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "deepspeed/error.h"
#include "launcher/messages.h"

namespace deepspeed::launcher {
namespace {

constexpr size_t kMostWaitingBytes = 1 << 20;

}  // namespace

AgentOverseer::AgentOverseer(FrameChannel& channel, pid_t guard) : channel_(channel), guard_(guard) {}

std::optional<Overseer::Clock::time_point> AgentOverseer::wake_at() const {
  if (is_lost_) return std::nullopt;
  return channel_.next_beat();
}

std::optional<Demand> AgentOverseer::next_demand() {
  look();
  if (demands_.empty()) return std::nullopt;
  const Demand demand = demands_.front();
  demands_.pop_front();
  return demand;
}

void AgentOverseer::look() {
  if (is_lost_) return;
  try {
    while (const auto frame = channel_.next()) take(*frame);
  } catch (const ValueError&) {
    return lose();  // the launcher speaks another language: as good as gone
  }
  // A launcher that the user has stopped sends no beats; should it end meanwhile, the connection does.
  const bool is_silent = channel_.keep_alive() && !is_suspended_;
  if (channel_.is_closed() || is_silent || ::getppid() != guard_) lose();
}

void AgentOverseer::lose() {
  is_lost_ = true;
  waiting_lines_.clear();
  waiting_bytes_ = 0;
  demands_.push_back({Demand::Kind::kEnd});
}

void AgentOverseer::take(const Frame& frame) {
  switch (frame.kind) {
    case FrameKind::kSignal:
      return demands_.push_back({Demand::Kind::kSignal, static_cast<int>(decode_number(frame.payload))});
    case FrameKind::kEnd:
      return demands_.push_back({Demand::Kind::kEnd});
    case FrameKind::kSuspend:
      is_suspended_ = true;
      return demands_.push_back({Demand::Kind::kSuspend});
    case FrameKind::kResume:
      is_suspended_ = false;
      return demands_.push_back({Demand::Kind::kResume});
    case FrameKind::kCredit:
      credit_bytes_ += decode_number(frame.payload);
      return send_lines();
    default:
      throw ValueError(concat("[launcher.agent] a frame of kind ", static_cast<int>(frame.kind), " now."));
  }
}

void AgentOverseer::take_failure(const Failure& failure) {
  if (!is_lost_) channel_.send(FrameKind::kFailure, encode_failure(failure));
}

void AgentOverseer::say(const std::string& text) {
  if (!is_lost_) channel_.send(FrameKind::kSay, text);
}

void AgentOverseer::write(const LineSource& source, const Line& line) {
  if (is_lost_) return;
  waiting_lines_.push_back(encode_line(source, line));
  waiting_bytes_ += waiting_lines_.back().size();
  send_lines();
}

bool AgentOverseer::is_full(int) const { return waiting_bytes_ >= kMostWaitingBytes; }

void AgentOverseer::send_lines() {
  while (!waiting_lines_.empty() && credit_bytes_ > 0) {
    const std::string& line = waiting_lines_.front();
    channel_.send(FrameKind::kLine, line);
    credit_bytes_ -= static_cast<int64_t>(line.size());
    waiting_bytes_ -= line.size();
    waiting_lines_.pop_front();
  }
}

void AgentOverseer::finish(int exit_code) {
  if (!is_lost_) channel_.send(FrameKind::kEnded, encode_number(exit_code));
  bool is_last_sent = false;
  while (!is_lost_) {
    if (waiting_lines_.empty() && !is_last_sent) {
      channel_.send(FrameKind::kLast);
      is_last_sent = true;
    }
    if (is_last_sent && channel_.is_drained()) return;
    std::vector<Watch> watches;
    channel_.add_watches(watches);
    wait_for(watches, channel_.next_beat());
    look();
  }
}

}  // namespace deepspeed::launcher
