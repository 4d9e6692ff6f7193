// From the ranks' pipes to our outputs.
#include "launcher/console.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "core/environment.h"
#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kLargestPipeBytes = 1 << 20;  // what a pipe may hold when its writer is gone

bool is_same_file(int a, int b) {
  struct stat first {};
  struct stat second {};
  return ::fstat(a, &first) == 0 && ::fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino && first.st_rdev == second.st_rdev;
}

bool wants_colour(bool is_terminal) {
  return is_terminal && !core::environment("NO_COLOR") && core::environment("TERM") != "dumb";
}

}  // namespace

Console::Output::Output(int fd, int live_rank)
    : queue(fd),
      merger({.is_terminal = ::isatty(fd) == 1, .with_colour = wants_colour(::isatty(fd) == 1), .live_rank = live_rank},
             [this](std::string_view bytes) { queue.push(bytes); }),
      is_terminal(::isatty(fd) == 1) {}

Console::Console(int stdout_fd, int stderr_fd, int live_rank)
    : live_rank_(live_rank), out_(std::make_unique<Output>(stdout_fd, live_rank)) {
  if (!is_same_file(stdout_fd, stderr_fd)) separate_err_ = std::make_unique<Output>(stderr_fd, live_rank);
  err_ = separate_err_ ? separate_err_.get() : out_.get();
}

RankOutputs Console::open_for(int rank) {
  RankOutputs outputs;
  outputs.out = open_stream({rank, 0}, *out_);
  // One terminal for both keeps their order; two pipes keep them apart in case only one of ours is redirected.
  const bool is_shared = err_ == out_.get() && out_->is_terminal && rank == live_rank_;
  if (!is_shared) outputs.err = open_stream({rank, 1}, *err_);
  return outputs;
}

core::Descriptor Console::open_stream(const LineSource& source, Output& output) {
  auto stream = std::make_unique<Stream>(Stream{source, {}, &output, {}});
  core::Descriptor rank_end;
  if (output.is_terminal && source.rank == live_rank_) {
    PseudoTerminal terminal = open_pseudo_terminal();
    terminal.copy_size(output.queue.fd(), static_cast<int>(OutputMerger::prefix(source.rank).size()));
    rank_end = std::move(terminal.rank_end);
    stream->fd = core::Descriptor(::fcntl(terminal.our_end.get(), F_DUPFD_CLOEXEC, 3));
    terminals_.emplace_back(std::move(terminal), &output);
  } else {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw IoError("[launcher] a pipe for a rank's output", "pipe", errno);
    stream->fd = core::Descriptor(ends[0]);
    rank_end = core::Descriptor(ends[1]);
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  }
  streams_.push_back(std::move(stream));
  return rank_end;
}

void Console::add_watches(std::vector<Watch>& watches) {
  for (const auto& stream : streams_) {
    if (stream->fd && stream->output->queue.is_broken()) end(*stream);
    if (!stream->fd || stream->output->queue.is_full()) continue;
    watches.push_back({stream->fd.get(), POLLIN, [this, one = stream.get()] { read(*one, kReadBytes); }});
  }
  for (Output* output : {out_.get(), separate_err_.get()}) {
    if (output == nullptr || output->queue.is_empty()) continue;
    watches.push_back({output->queue.fd(), POLLOUT, [output] { output->queue.write_some(); }});
  }
}

void Console::read(Stream& stream, size_t most_bytes) {
  static_assert(kReadBytes <= LineSplitter::kLongestLineBytes);
  std::array<char, kReadBytes> buffer;
  size_t taken = 0;
  while (stream.fd && taken < most_bytes) {
    const ssize_t count = ::read(stream.fd.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) break;
    if (count <= 0) return end(stream);  // a terminal whose writers are gone says EIO
    taken += static_cast<size_t>(count);
    stream.splitter.feed({buffer.data(), static_cast<size_t>(count)}, [&](const Line& line) { take(stream, line); });
  }
  stream.output->merger.show_begun(stream.source, stream.splitter.begun());
}

void Console::take(Stream& stream, const Line& line) {
  last_lines_[stream.source.rank].add(line);
  stream.output->merger.write(stream.source, line);
}

void Console::end(Stream& stream) {
  stream.splitter.finish([&](const Line& line) { take(stream, {line.text, LineEnd::kNewline}); });
  stream.fd.reset();
}

void Console::drain() {
  for (const auto& stream : streams_) {
    if (stream->fd) read(*stream, kLargestPipeBytes);
    if (stream->fd) end(*stream);
  }
  out_->merger.finish();
  err_->merger.finish();
}

void Console::say(const std::string& text) {
  err_->merger.finish();
  err_->queue.push(text);
}

void Console::flush() {
  out_->queue.flush();
  err_->queue.flush();
}

void Console::resize() {
  for (const auto& [terminal, output] : terminals_) {
    terminal.copy_size(output->queue.fd(), static_cast<int>(OutputMerger::prefix(live_rank_).size()));
  }
}

std::vector<std::string> Console::last_lines(int rank) const {
  const auto found = last_lines_.find(rank);
  return found == last_lines_.end() ? std::vector<std::string>{} : found->second.lines();
}

}  // namespace deepspeed::launcher
