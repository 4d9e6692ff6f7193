// Starting, reading and waiting.
#include "launch.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>

#include "core/subprocess.h"
#include "launcher/failure_report.h"
#include "launcher/pseudo_terminal.h"

namespace deepspeed::launcher {
namespace {

constexpr int kPatienceMs = 30'000;

struct Pipe {
  core::Descriptor read_end, write_end;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    read_end = core::Descriptor(ends[0]);
    write_end = core::Descriptor(ends[1]);
  }
};

// Reads into `text`; false at the end.
bool read_into(core::Descriptor& fd, std::string& text) {
  char buffer[65536];
  const ssize_t count = ::read(fd.get(), buffer, sizeof(buffer));
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (count <= 0) {
    fd.reset();
    return false;
  }
  text.append(buffer, static_cast<size_t>(count));
  return true;
}

}  // namespace

Launch::Launch(const std::vector<std::string>& arguments, const LaunchSetup& setup) {
  core::SpawnOptions options;
  options.command = {DS_DEEPSPEED_PROGRAM};
  options.command.insert(options.command.end(), arguments.begin(), arguments.end());
  options.environment = setup.environment;  // getenv() finds the first of two
  options.environment.push_back("DS_ACCELERATOR=cpu");
  for (const std::string& variable : core::current_environment()) options.environment.push_back(variable);

  Pipe in, out, err;
  const core::Descriptor null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  options.stdin_fd = setup.with_stdin ? in.read_end.get() : null.get();
  if (setup.with_stdin) stdin_ = std::move(in.write_end);
  PseudoTerminal terminal;
  if (setup.on_terminal) {
    terminal = open_pseudo_terminal();
    const winsize size{24, 60, 0, 0};
    ::ioctl(terminal.our_end.get(), TIOCSWINSZ, &size);
    options.stdout_fd = options.stderr_fd = terminal.rank_end.get();
    stdout_ = std::move(terminal.our_end);
  } else {
    options.stdout_fd = out.write_end.get();
    options.stderr_fd = err.write_end.get();
    stdout_ = std::move(out.read_end);
    stderr_ = std::move(err.read_end);
  }
  pid_ = core::spawn(options);
}

Launch::~Launch() {
  if (pid_ <= 0 || is_reaped_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool Launch::read_some() {
  std::vector<pollfd> entries;
  if (stdout_) entries.push_back({stdout_.get(), POLLIN, 0});
  if (stderr_) entries.push_back({stderr_.get(), POLLIN, 0});
  if (entries.empty()) return false;
  const int ready = ::poll(entries.data(), entries.size(), kPatienceMs);
  if (ready <= 0) throw std::runtime_error("the launch said nothing for too long; so far:\n" + out_ + err_);
  for (const pollfd& entry : entries) {
    if (entry.revents == 0) continue;
    const bool is_out = stdout_ && entry.fd == stdout_.get();
    read_into(is_out ? stdout_ : stderr_, is_out ? out_ : err_);
  }
  return true;
}

void Launch::read_until(const std::string& text, int count) {
  while (occurrences(out_, text) < count) {
    if (!read_some()) throw std::runtime_error("the launch ended without saying \"" + text + "\":\n" + out_ + err_);
  }
}

int Launch::wait() {
  while (read_some()) {
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  is_reaped_ = true;
  return exit_code_of(status);
}

pid_t Launch::number_after(const std::string& label) const {
  const size_t at = out_.find(label + " ");
  if (at == std::string::npos) throw std::runtime_error("no \"" + label + "\" in:\n" + out_);
  return std::stoi(out_.substr(at + label.size() + 1));
}

int occurrences(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

}  // namespace deepspeed::launcher
