// From lines to our outputs.
#include "launcher/console.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/environment.h"

namespace deepspeed::launcher {
namespace {

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
}

void Console::name_hosts(const std::vector<std::string>& host_of_rank) {
  out_->merger.name_hosts(host_of_rank);
  if (separate_err_) separate_err_->merger.name_hosts(host_of_rank);
}

void Console::collapse(int num_ranks) {
  collapser_.emplace(num_ranks, [this](const std::vector<int>& ranks, int channel, std::string_view text) {
    output(channel).merger.write_shared(ranks, channel, text);
  });
}

void Console::write(const LineSource& source, const Line& line) {
  if (collapser_ && line.end == LineEnd::kNewline)
    return collapser_->add(source, line.text, LineCollapser::Clock::now());
  if (collapser_) collapser_->release_all();  // a piece of a line, or a progress bar
  output(source.channel).merger.write(source, line);
}

void Console::release_lines() {
  if (collapser_) collapser_->release_due(LineCollapser::Clock::now());
}

std::optional<LineCollapser::Clock::time_point> Console::wake_at() const {
  return collapser_ ? collapser_->due_at() : std::nullopt;
}

void Console::show_begun(const LineSource& source, std::string_view text) {
  if (collapser_) return;
  output(source.channel).merger.show_begun(source, text);
}

std::optional<TerminalModel> Console::terminal_for(const LineSource& source) const {
  const Output& target = output(source.channel);
  if (!target.is_terminal || source.rank != live_rank_ || collapser_) return std::nullopt;
  return TerminalModel{target.queue.fd(), static_cast<int>(target.merger.prefix(source.rank).size())};
}

void Console::add_watches(std::vector<Watch>& watches) {
  for (Output* one : {out_.get(), separate_err_.get()}) {
    if (one == nullptr || one->queue.is_empty()) continue;
    watches.push_back({one->queue.fd(), POLLOUT, [one] { one->queue.write_some(); }});
  }
}

void Console::finish_lines() {
  if (collapser_) collapser_->release_all();
  output(0).merger.finish();
  output(1).merger.finish();
}

void Console::say(const std::string& text) {
  if (collapser_) collapser_->release_all();
  output(1).merger.finish();
  output(1).queue.push(text);
}

void Console::flush() {
  output(0).queue.flush();
  output(1).queue.flush();
}

}  // namespace deepspeed::launcher
