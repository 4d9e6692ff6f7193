// fork, exec, and a pipe that tells the parent why the exec failed.
#include "core/subprocess.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <memory>

#include "core/descriptor.h"
#include "deepspeed/error.h"

namespace deepspeed::core {
namespace {

enum class Step : int { kAffinity, kRedirect, kExec };

struct Failure {
  Step step;
  int error_number;
};

constexpr int kFailedExit = 127;

// CPUs as the kernel takes them; built before the fork, because a child may not allocate.
class CpuSet {
 public:
  explicit CpuSet(const std::vector<int>& cpus) {
    if (cpus.empty()) return;
    const int count = *std::max_element(cpus.begin(), cpus.end()) + 1;
    bytes_ = CPU_ALLOC_SIZE(count);
    set_.reset(CPU_ALLOC(count));
    CPU_ZERO_S(bytes_, set_.get());
    for (const int cpu : cpus) CPU_SET_S(cpu, bytes_, set_.get());
  }
  bool apply() const { return !set_ || ::sched_setaffinity(0, bytes_, set_.get()) == 0; }

 private:
  struct Free {
    void operator()(cpu_set_t* set) const { CPU_FREE(set); }
  };
  size_t bytes_ = 0;
  std::unique_ptr<cpu_set_t, Free> set_;
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (const std::string& text : strings) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

bool redirect(const SpawnOptions& options) {
  const int sources[] = {options.stdin_fd, options.stdout_fd, options.stderr_fd};
  for (int target = 0; target < 3; ++target) {
    if (sources[target] >= 0 && ::dup2(sources[target], target) < 0) return false;
  }
  return true;
}

// Runs in the child; only async-signal-safe calls.
[[noreturn]] void become(const SpawnOptions& options, const CpuSet& cpus, char* const* command,
                         char* const* environment, pid_t parent, int failure_fd) {
  const auto fail = [&](Step step) {
    const Failure failure{step, errno};
    (void)!::write(failure_fd, &failure, sizeof(failure));
    ::_exit(kFailedExit);
  };
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kFailedExit);  // it died before the line above
  if (options.own_process_group) ::setpgid(0, 0);
  if (!cpus.apply()) fail(Step::kAffinity);
  if (!redirect(options)) fail(Step::kRedirect);
  if (options.open_files) ::setrlimit(RLIMIT_NOFILE, &*options.open_files);
  std::signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve(command[0], command, environment);
  fail(Step::kExec);
  ::_exit(kFailedExit);
}

[[noreturn]] void report(const Failure& failure, const SpawnOptions& options) {
  const std::string& program = options.command.front();
  std::string what = concat("[core.subprocess] starting ", program);
  if (failure.step == Step::kAffinity) {
    what = concat("[core.subprocess] binding ", program, " to CPUs");
    for (const int cpu : options.cpus) what += concat(" ", cpu);
  } else if (failure.step == Step::kRedirect) {
    what = concat("[core.subprocess] redirecting the output of ", program);
  }
  throw IoError(what, program, failure.error_number);
}

}  // namespace

pid_t spawn(const SpawnOptions& options) {
  DS_INTERNAL_CHECK(!options.command.empty(), "spawn() without a command");
  const CpuSet cpus(options.cpus);
  const auto command = pointers(options.command);
  const auto environment = pointers(options.environment);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw IoError("[core.subprocess] pipe", options.command.front(), errno);
  const Descriptor read_end(ends[0]);
  Descriptor write_end(ends[1]);

  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) throw IoError("[core.subprocess] fork for " + options.command.front(), options.command.front(), errno);
  if (child == 0) become(options, cpus, command.data(), environment.data(), parent, write_end.get());
  if (options.own_process_group) ::setpgid(child, child);  // whoever comes first; the group exists when we return

  write_end.reset();
  Failure failure{};
  ssize_t count = 0;
  do {
    count = ::read(read_end.get(), &failure, sizeof(failure));
  } while (count < 0 && errno == EINTR);
  if (count == sizeof(failure)) {
    ::waitpid(child, nullptr, 0);
    report(failure, options);
  }
  return child;
}

std::vector<std::string> current_environment() {
  std::vector<std::string> variables;
  for (char** one = ::environ; *one != nullptr; ++one) variables.emplace_back(*one);
  return variables;
}

}  // namespace deepspeed::core
