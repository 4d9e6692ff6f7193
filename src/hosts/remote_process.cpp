// Pipes, and a handle of the process that poll() can wait for.
#include "hosts/remote_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/subprocess.h"
#include "deepspeed/error.h"
#include "launcher/failure_report.h"
#include "launcher/open_files.h"

namespace deepspeed::hosts {
namespace {

IoError cannot_start(const IoError& error, const std::string& program) {
  if (error.error_number() != EMFILE) return error;
  rlimit limits{};
  ::getrlimit(RLIMIT_NOFILE, &limits);
  return IoError(concat("[hosts] starting one more ", program, ", which takes four open files of at most ",
                        limits.rlim_cur, ": allow more with ulimit -n, or ask fewer hosts"),
                 program, EMFILE);
}

struct Pipe {
  core::Descriptor read_end, write_end;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw IoError("[hosts] a pipe to ssh", "pipe", errno);
    read_end = core::Descriptor(ends[0]);
    write_end = core::Descriptor(ends[1]);
  }
};

void make_unblocking(int fd) { ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK); }

}  // namespace

RemoteProcess::RemoteProcess(const std::vector<std::string>& command, Consumer consume) try
    : consume_(std::move(consume)) {
  Pipe in, out, err;
  pid_ = core::spawn({.command = command,
                      .environment = core::current_environment(),
                      .stdin_fd = in.read_end.get(),
                      .stdout_fd = out.write_end.get(),
                      .stderr_fd = err.write_end.get(),
                      .open_files = launcher::original_open_files(),
                      .own_process_group = false});
  handle_ = core::Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!handle_) {
    const int error_number = errno;
    kill();
    ::waitpid(pid_, nullptr, 0);
    throw IoError("[hosts] watching " + command.front(), command.front(), error_number);
  }
  in_ = std::move(in.write_end);
  out_.pipe = std::move(out.read_end);
  err_.pipe = std::move(err.read_end);
  err_.is_error = true;
  for (const int fd : {in_.get(), out_.pipe.get(), err_.pipe.get()}) make_unblocking(fd);
  queue_.emplace(in_.get());
} catch (const IoError& error) {
  throw cannot_start(error, command.front());
}

RemoteProcess::~RemoteProcess() {
  if (is_over() || !handle_) return;
  kill();
  ::waitpid(pid_, nullptr, 0);
}

void RemoteProcess::kill() {
  if (!is_over()) ::kill(pid_, SIGKILL);
}

void RemoteProcess::add_watches(std::vector<launcher::Watch>& watches) {
  if (is_over()) return;
  if (in_ && (!queue_->is_empty() || ends_input_)) watches.push_back({in_.get(), POLLOUT, [this] { write_input(); }});
  for (Output* output : {&out_, &err_}) {
    if (output->pipe) watches.push_back({output->pipe.get(), POLLIN, [this, output] { read_some(*output); }});
  }
  watches.push_back({handle_.get(), POLLIN, [this] { finish(); }});
}

void RemoteProcess::write_input() {
  if (!queue_->is_empty() && !queue_->is_broken()) queue_->write_some();
  if (queue_->is_broken() || (ends_input_ && queue_->is_empty())) in_.reset();
}

bool RemoteProcess::read_some(Output& output) {
  std::array<char, size_t{64} << 10> buffer;
  const auto take = [&](const launcher::Line& line) { consume_(output.is_error, line); };
  const ssize_t count = ::read(output.pipe.get(), buffer.data(), buffer.size());
  if (count < 0 && errno == EINTR) return true;
  if (count < 0 && errno == EAGAIN) return false;
  if (count > 0) {
    output.splitter.feed({buffer.data(), static_cast<size_t>(count)}, take);
    return true;
  }
  output.splitter.finish(take);
  output.pipe.reset();
  return false;
}

void RemoteProcess::finish() {
  for (Output* output : {&out_, &err_}) {
    while (output->pipe && read_some(*output)) {
    }
    if (output->pipe) output->splitter.finish([&](const launcher::Line& line) { consume_(output->is_error, line); });
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  exit_code_ = launcher::exit_code_of(status);
}

}  // namespace deepspeed::hosts
