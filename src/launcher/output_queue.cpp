// Writing in pieces.
#include "launcher/output_queue.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace deepspeed::launcher {

namespace {

// The same terminal under a description of our own, whose flags nobody shares: poll() calls a terminal writable that
// takes a few bytes only, and a write of more would wait for its reader. Nothing where it cannot be opened again.
core::Descriptor open_terminal_again(int fd) {
  if (::isatty(fd) != 1) return {};
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  return core::Descriptor(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

}  // namespace

OutputQueue::OutputQueue(int fd) : terminal_(open_terminal_again(fd)), fd_(terminal_ ? terminal_.get() : fd) {}

void OutputQueue::push(std::string_view bytes) {
  if (is_broken_) return;
  pending_.append(bytes);
}

void OutputQueue::write_some() {
  const size_t bytes = std::min<size_t>(pending_.size() - begin_, PIPE_BUF);
  const ssize_t written = ::write(fd_, pending_.data() + begin_, bytes);
  if (written < 0) {
    if (errno == EINTR || errno == EAGAIN) return;
    is_broken_ = true;
    pending_.clear();
    begin_ = 0;
    return;
  }
  begin_ += static_cast<size_t>(written);
  if (begin_ >= kFullBytes / 2 || is_empty()) {
    pending_.erase(0, begin_);
    begin_ = 0;
  }
}

void OutputQueue::flush() {
  while (!is_empty()) {
    pollfd writable{fd_, POLLOUT, 0};
    ::poll(&writable, 1, -1);
    write_some();
  }
}

}  // namespace deepspeed::launcher
