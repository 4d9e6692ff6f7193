// Reading, queueing and beating.
#include "launcher/frame_channel.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace deepspeed::launcher {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;

void make_unblocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

}  // namespace

FrameChannel::FrameChannel(int read_fd, int write_fd, bool skips_to_preamble)
    : read_fd_(read_fd),
      queue_(write_fd),
      decoder_(skips_to_preamble),
      last_sent_(Clock::now()),
      last_heard_(last_sent_),
      last_look_(last_sent_) {
  make_unblocking(read_fd);
  make_unblocking(write_fd);
}

void FrameChannel::send(FrameKind kind, std::string_view payload) {
  queue_.push(encode_frame(kind, payload));
  last_sent_ = Clock::now();
}

void FrameChannel::add_watches(std::vector<Watch>& watches) {
  if (!is_at_end_) watches.push_back({read_fd_, POLLIN, [this] { read(); }});
  if (!is_drained()) watches.push_back({queue_.fd(), POLLOUT, [this] { queue_.write_some(); }});
}

void FrameChannel::read() {
  std::array<char, kReadBytes> buffer;
  const ssize_t count = ::read(read_fd_, buffer.data(), buffer.size());
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (count <= 0) {
    is_at_end_ = true;
    return;
  }
  last_heard_ = Clock::now();
  decoder_.feed({buffer.data(), static_cast<size_t>(count)});
}

std::optional<Frame> FrameChannel::next() {
  auto frame = decoder_.next();
  while (frame && frame->kind == FrameKind::kBeat) frame = decoder_.next();
  return frame;
}

bool FrameChannel::keep_alive() {
  const auto now = Clock::now();
  if (now - last_look_ > 2 * kBeatInterval) last_heard_ = now;
  last_look_ = now;
  if (now >= next_beat()) send(FrameKind::kBeat);
  return now - last_heard_ > kLongestSilence;
}

std::chrono::milliseconds FrameChannel::silence() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - last_heard_);
}

}  // namespace deepspeed::launcher
