// How ranks of a program without Python find each other: a TCP store at MASTER_ADDR:MASTER_PORT, held by rank 0.
#pragma once

#include <chrono>
#include <string>

#include <c10/core/Device.h>
#include <c10/util/intrusive_ptr.h>

#include "core/environment.h"

namespace c10d {
class Backend;
class ProcessGroup;
class Store;
}  // namespace c10d

namespace deepspeed::comm {

/// A new process group over all ranks; null for a world of one. `name` separates groups that share the store.
/// Throws CommError that names address, port and rank where the others do not come within the collective timeout.
c10::intrusive_ptr<c10d::ProcessGroup> make_process_group(const core::RankEnvironment& ranks, const std::string& name,
                                                          c10::Device device);

/// Gloo over `store`. In a file of its own, which alone sees Gloo's headers.
c10::intrusive_ptr<c10d::ProcessGroup> make_gloo_group(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                                                       int64_t timeout_seconds);
/// The same without a group around it.
c10::intrusive_ptr<c10d::Backend> make_gloo_backend(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                                                    std::chrono::milliseconds timeout);

}  // namespace deepspeed::comm
