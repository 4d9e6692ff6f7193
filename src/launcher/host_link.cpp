// Starting, listening, and saying what went wrong.
#include "launcher/host_link.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/subprocess.h"
#include "deepspeed/error.h"
#include "launcher/open_files.h"

namespace deepspeed::launcher {
namespace {

constexpr int kSshFailed = 255;
constexpr int kNotFound = 127;
constexpr int kSignalExitBase = 128;

struct Pipe {
  core::Descriptor read_end, write_end;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      throw IoError("[launcher] a pipe to an agent (three a host; ulimit -Hn bounds them)", "pipe", errno);
    }
    read_end = core::Descriptor(ends[0]);
    write_end = core::Descriptor(ends[1]);
  }
};

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : " / ") + line;
  return text;
}

// What a login shell said that did not go on to an agent: "This account is currently not available."
std::string last_lines_of(const std::string& text) {
  LineSplitter splitter;
  LastLines last;
  const auto keep = [&](const Line& line) {
    if (!line.text.empty()) last.add({line.text, LineEnd::kNewline});
  };
  splitter.feed(text, keep);
  splitter.finish(keep);
  return joined(last.lines());
}

// An agent looks at these for how it was reached; ours say how the user reached us.
std::vector<std::string> environment_of_link() {
  auto variables = core::current_environment();
  std::erase_if(variables, [](const std::string& one) {
    return one.starts_with("SSH_CONNECTION=") || one.starts_with("SLURM_LAUNCH_NODE_IPADDR=");
  });
  return variables;
}

}  // namespace

HostLink::HostLink(Host host, const std::vector<std::string>& command, bool is_local)
    : host_(std::move(host)), is_local_(is_local) {
  Pipe in, out, err;
  pid_ = core::spawn({.command = command,
                      .environment = environment_of_link(),
                      .stdin_fd = in.read_end.get(),
                      .stdout_fd = out.write_end.get(),
                      .stderr_fd = err.write_end.get(),
                      .open_files = original_open_files()});
  in_ = std::move(in.write_end);
  out_ = std::move(out.read_end);
  err_ = std::move(err.read_end);
  ::fcntl(err_.get(), F_SETFL, O_NONBLOCK);
  channel_ = std::make_unique<FrameChannel>(out_.get(), in_.get(), true);
}

HostLink::~HostLink() {
  if (!is_running()) return;
  kill();
  ::waitpid(pid_, nullptr, 0);
}

void HostLink::kill() {
  if (!is_running()) return;
  was_killed_ = true;
  // The ssh on PATH may be a script with the real one below it. A local agent's guard cleans up by itself.
  ::kill(is_local_ ? pid_ : -pid_, SIGKILL);
}

int HostLink::signal_exit_code() const {
  const bool is_signal = !was_killed_ && exit_code_ && *exit_code_ > kSignalExitBase && *exit_code_ != kSshFailed;
  return is_signal ? *exit_code_ : 0;
}

void HostLink::add_watches(std::vector<Watch>& watches) {
  if (state != State::kLost) channel_->add_watches(watches);
  if (err_) watches.push_back({err_.get(), POLLIN, [this] { read_errors(); }});
}

void HostLink::read_errors() {
  std::array<char, 4096> buffer;
  const auto keep = [this](const Line& line) {
    last_error_lines_.add({line.text, LineEnd::kNewline});
    error_lines_.emplace_back(line.text);
  };
  const ssize_t count = ::read(err_.get(), buffer.data(), buffer.size());
  if (count > 0) return error_splitter_.feed({buffer.data(), static_cast<size_t>(count)}, keep);
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
  error_splitter_.finish(keep);
  err_.reset();
}

std::vector<std::string> HostLink::take_error_lines() { return std::exchange(error_lines_, {}); }

bool HostLink::is_lost() {
  if (state == State::kDone || state == State::kLost) return false;
  // Until the agent has greeted, ssh's own patience counts.
  if (state != State::kConnecting && channel_->keep_alive()) was_silent_ = true;
  // An agent that is through takes no credit any more, while its last lines are still in the pipe.
  const bool is_cut_off = was_killed_ && !is_running();  // even where something below it holds the pipe open
  return was_silent_ || !nonsense_.empty() || channel_->is_at_end() || is_cut_off;
}

std::string HostLink::describe_loss() const {
  std::string said = joined(last_error_lines_.lines());
  if (!channel_->has_begun()) {
    const std::string output = last_lines_of(channel_->unread());
    said += (said.empty() || output.empty() ? "" : " / ") + output;
  }
  const std::string quote = said.empty() ? "" : concat(": ", said);
  if (was_silent_) {
    return concat("nothing was heard from it for ", FrameChannel::kLongestSilence.count(),
                  " s: the host, or the way to it, is down or stopped");
  }
  if (!nonsense_.empty()) return channel_->has_begun() ? nonsense_ : nonsense_ + quote;
  if (patience_.count() > 0 && state == State::kGreeted && !channel_->is_at_end()) {
    return concat("its agent was not ready within ", patience_.count(),
                  " s. Is that host, its file system or a --venv_script slow?", quote);
  }
  if (!channel_->has_begun()) {
    if (exit_code_ == kNotFound) {
      return concat("no deepspeed program there, neither at the path that it has here nor on PATH", quote,
                    ". Install deepspeed at the same place on every host");
    }
    return exit_code_ ? concat("no agent there (exit code ", *exit_code_, ")", quote) : concat("no answer", quote);
  }
  if (!exit_code_ || was_killed_) return concat("its connection was closed", quote);
  if (*exit_code_ == kSshFailed) return concat("ssh lost the connection", quote);
  if (const int code = signal_exit_code(); code != 0 && sigabbrev_np(code - kSignalExitBase) != nullptr) {
    return concat("its agent was ended by SIG", sigabbrev_np(code - kSignalExitBase), quote);
  }
  return concat("its agent ended early (exit code ", *exit_code_, ")", quote);
}

std::string HostLink::ranks_in_words() const {
  const int last = first_rank_ + static_cast<int>(host_.slots.size()) - 1;
  return last == first_rank_ ? concat("rank ", first_rank_) : concat("ranks ", first_rank_, " to ", last);
}

}  // namespace deepspeed::launcher
