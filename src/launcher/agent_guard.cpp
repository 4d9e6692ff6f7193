// fork, wait, clean up.
#include "launcher/agent_guard.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <ctime>

#include "core/descriptor.h"
#include "deepspeed/error.h"
#include "launcher/failure_report.h"
#include "launcher/process_tree.h"

namespace deepspeed::launcher {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{5};  // for processes that SIGKILL does not end
constexpr timespec kKillInterval{0, 50'000'000};

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) sigaddset(&set, signal);
  return set;
}

// Reaps all that has ended; whether `child` is among it.
bool reap(pid_t child, int& child_status) {
  bool is_there = false;
  int status = 0;
  for (pid_t pid = ::waitpid(-1, &status, WNOHANG); pid > 0; pid = ::waitpid(-1, &status, WNOHANG)) {
    if (pid != child) continue;
    child_status = status;
    is_there = true;
  }
  return is_there;
}

void kill_what_is_left(const sigset_t& signals) {
  const auto deadline = Clock::now() + kPatience;
  while (Clock::now() < deadline) {
    int ignored = 0;
    reap(0, ignored);
    const auto pids = descendants_of(::getpid());
    if (pids.empty()) return;
    for (const pid_t pid : pids) ::kill(pid, SIGKILL);
    ::sigtimedwait(&signals, nullptr, &kKillInterval);
  }
}

int guard(pid_t child, const sigset_t& signals) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const core::Descriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO}) ::dup2(null.get(), fd);
  int status = 0;
  while (!reap(child, status)) {
    const int signal = ::sigwaitinfo(&signals, nullptr);
    if (signal > 0 && signal != SIGCHLD) ::kill(child, signal);
  }
  if (exit_code_of(status) != 0) kill_what_is_left(signals);  // also where it gave up before it had ended its ranks
  return exit_code_of(status);
}

}  // namespace

int run_guarded(const std::function<int(pid_t guard)>& body) {
  const sigset_t signals = watched_signals();
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &signals, &before);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) throw IoError("[launcher.agent] fork", "fork", errno);
  if (child > 0) return guard(child, signals);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  return ::getppid() == parent ? body(parent) : 1;
}

}  // namespace deepspeed::launcher
