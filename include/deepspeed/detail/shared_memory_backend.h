// The torch.distributed backend for CPU ranks, for front ends that register it.
#pragma once

#include <chrono>

#include <c10/util/intrusive_ptr.h>

#include "deepspeed/export.h"

namespace c10d {
class Backend;
class Store;
}  // namespace c10d

namespace deepspeed::detail {

/// Collective over the `size` ranks that share `store`, which is of this group alone. Ranks of one host share memory;
/// those of several hosts that have equally many, and more than one, do so inside each host, and one message a host
/// crosses the network. Elsewhere, or where DEEPSPEED_SHARED_MEMORY=0 is set on one rank, it is Gloo on all; so it is
/// where memory cannot be shared, with a warning of rank 0 that says why. Throws CommError.
DS_API c10::intrusive_ptr<c10d::Backend> make_shared_memory_backend(const c10::intrusive_ptr<c10d::Store>& store,
                                                                    int rank, int size,
                                                                    std::chrono::milliseconds timeout);

/// Whether DEEPSPEED_SHARED_MEMORY leaves that to the library.
DS_API bool uses_shared_memory();

}  // namespace deepspeed::detail
