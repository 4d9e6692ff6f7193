// Reading pipes and terminals.
#include "launcher/rank_streams.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;
constexpr size_t kLargestPipeBytes = 1 << 20;  // what a pipe may hold when its writer is gone

}  // namespace

RankOutputs RankStreams::open_for(int rank) {
  RankOutputs outputs;
  outputs.out = open_stream({rank, 0});
  // One terminal for both keeps their order; two pipes keep them apart in case only one of ours is redirected.
  const bool is_one_terminal = sink_.is_shared() && sink_.terminal_for({rank, 1});
  if (!is_one_terminal) outputs.err = open_stream({rank, 1});
  return outputs;
}

core::Descriptor RankStreams::open_stream(const LineSource& source) {
  auto stream = std::make_unique<Stream>(Stream{source, {}});
  core::Descriptor rank_end;
  if (const auto model = sink_.terminal_for(source)) {
    PseudoTerminal terminal = open_pseudo_terminal();
    rank_end = std::move(terminal.rank_end);
    stream->fd = std::move(terminal.our_end);  // the only one: when we read no more, the rank's writes have to fail
    stream->terminal_model = model;
    copy_terminal_size(model->fd, model->margin_columns, stream->fd.get());
  } else {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      throw IoError("[launcher] a pipe for a rank's output (two a rank; ulimit -Hn bounds them)", "pipe", errno);
    }
    stream->fd = core::Descriptor(ends[0]);
    rank_end = core::Descriptor(ends[1]);
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  }
  streams_.push_back(std::move(stream));
  return rank_end;
}

void RankStreams::add_watches(std::vector<Watch>& watches) {
  for (const auto& stream : streams_) {
    if (stream->fd && sink_.is_broken(stream->source.channel)) end(*stream);
    if (!stream->fd || sink_.is_full(stream->source.channel)) continue;
    watches.push_back({stream->fd.get(), POLLIN, [this, one = stream.get()] { read(*one, kReadBytes); }});
  }
}

void RankStreams::read(Stream& stream, size_t most_bytes) {
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
  sink_.show_begun(stream.source, stream.splitter.begun());
}

void RankStreams::take(Stream& stream, const Line& line) {
  last_lines_[stream.source.rank].add(line);
  sink_.write(stream.source, line);
}

void RankStreams::end(Stream& stream) {
  stream.splitter.finish([&](const Line& line) { take(stream, {line.text, LineEnd::kNewline}); });
  stream.fd.reset();
}

void RankStreams::take_all_of(int rank) {
  for (const auto& stream : streams_) {
    if (stream->source.rank == rank && stream->fd) read(*stream, kLargestPipeBytes);
  }
}

void RankStreams::finish() {
  for (const auto& stream : streams_) {
    if (stream->fd) read(*stream, kLargestPipeBytes);
    if (stream->fd) end(*stream);
  }
}

void RankStreams::resize() {
  for (const auto& stream : streams_) {
    const auto& model = stream->terminal_model;
    if (model && stream->fd) copy_terminal_size(model->fd, model->margin_columns, stream->fd.get());
  }
}

std::vector<std::string> RankStreams::last_lines(int rank) const {
  const auto found = last_lines_.find(rank);
  return found == last_lines_.end() ? std::vector<std::string>{} : found->second.lines();
}

}  // namespace deepspeed::launcher
