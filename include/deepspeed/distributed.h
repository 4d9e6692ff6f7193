// Joining the ranks that the `deepspeed` command started.
#pragma once

#include <c10/util/intrusive_ptr.h>

#include "deepspeed/export.h"

namespace c10d {
class ProcessGroup;
}

namespace deepspeed {

/// Joins the ranks named by RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT (absent: one process alone). Waits for all of
/// them; throws CommError where one does not come in time (DEEPSPEED_TIMEOUT minutes, default 10). Once a process.
DS_API void init_distributed();
DS_API bool is_initialized();

/// 0 of 1 before init_distributed().
DS_API int rank();
DS_API int world_size();
DS_API int local_rank();

/// Waits for all ranks.
DS_API void barrier();

/// The sum over all ranks, on every rank.
DS_API double sum_over_ranks(double value);

namespace detail {
/// A process group of all ranks for one engine; null for one rank alone. Collective.
DS_API c10::intrusive_ptr<c10d::ProcessGroup> new_process_group();
}  // namespace detail

}  // namespace deepspeed
