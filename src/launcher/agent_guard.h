// A process above the agent that cleans up should the agent be killed.
#pragma once

#include <sys/types.h>

#include <functional>

namespace deepspeed::launcher {

/// Runs `body` in a child process, which gets the guard's pid, and returns its exit code, or 128 + signal. Unless that
/// is 0, every process that the child has left is killed first. Signals to the guard go to the child. If the guard is
/// killed, the child gets SIGTERM and sees another parent. Standard input and output belong to the child alone. No
/// threads may run yet.
int run_guarded(const std::function<int(pid_t guard)>& body);

}  // namespace deepspeed::launcher
