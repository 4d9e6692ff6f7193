// Children, grandchildren and so on of a process, as /proc shows them.
#pragma once

#include <sys/types.h>

#include <vector>

namespace deepspeed::launcher {

/// All living descendants of `ancestor`, without itself; zombies are left out. A snapshot: a process that forks
/// meanwhile may be missed, so callers that end processes ask again until none is left.
std::vector<pid_t> descendants_of(pid_t ancestor);

}  // namespace deepspeed::launcher
