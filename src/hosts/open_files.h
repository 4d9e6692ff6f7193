// How many open files this process may have: each ssh that runs takes four of them.
#pragma once

namespace deepspeed::hosts {

/// Raises the bound to the highest that is allowed (`ulimit -Hn`); often it begins at 1024, which is 255 hosts.
void allow_many_open_files();

/// The bound as it is now.
unsigned long max_open_files();

/// The bound that this process began with. Programs that it starts begin with it too: some close every number up to
/// it, others cannot use high ones.
unsigned long first_max_open_files();

}  // namespace deepspeed::hosts
