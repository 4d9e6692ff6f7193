// Starting a child process by fork and exec: no shell in between, and no child that outlives its parent.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace deepspeed::core {

struct SpawnOptions {
  std::vector<std::string> command = {};      ///< command[0] is a path, not a name to look up; never empty
  std::vector<std::string> environment = {};  ///< the whole of it, NAME=value each
  std::vector<int> cpus = {};                 ///< affinity of the child; empty: the parent's
  int stdin_fd = -1;                          ///< -1: the parent's own
  int stdout_fd = -1;
  int stderr_fd = -1;
  std::optional<rlimit> open_files = {};  ///< RLIMIT_NOFILE of the child; empty: the parent's
  bool own_process_group = true;          ///< false: signals from the terminal reach parent and child alike
};

/// Returns once the child runs the program. The kernel kills it (SIGKILL) when the calling thread's process dies, even
/// by SIGKILL; its own children are not covered. Signal mask and SIGPIPE are the defaults in the child. The caller
/// waits for the pid. Throws IoError with the program's path and errno where the exec fails, naming the CPUs where the
/// affinity does. Call it from the main thread: the kernel ties the child's life to the calling thread.
pid_t spawn(const SpawnOptions& options);

/// This process's environment, in the form that spawn() takes.
std::vector<std::string> current_environment();

}  // namespace deepspeed::core
