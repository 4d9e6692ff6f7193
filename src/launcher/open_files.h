// How many files this process may have open: a pipe or two a rank and three a host are soon more than the usual 1024.
#pragma once

#include <sys/resource.h>

namespace deepspeed::launcher {

/// The limits that this process was started with, which are the ranks' too.
rlimit original_open_files();

/// As many as the system allows (ulimit -Hn).
void raise_open_files();

/// Before this process becomes another program.
void restore_open_files();

}  // namespace deepspeed::launcher
