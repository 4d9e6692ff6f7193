// The program on each host of a launch: `deepspeed --host_agent`, started by the launcher over ssh or srun.
#pragma once

#include <string>

namespace deepspeed::launcher {

/// Speaks frames on standard input and output (see [Note: Control connection]) until the launch is over. Returns its
/// exit code. A second process, the guard, stands above the agent: should the agent be killed, the guard ends all that
/// the agent's ranks have started. `invoked_as` is argv[0].
int run_agent(const std::string& invoked_as);

}  // namespace deepspeed::launcher
