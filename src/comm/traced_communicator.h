// Any communicator, with its collectives and the waits for them on the timeline.
#pragma once

#include <cstdint>
#include <memory>

#include "comm/communicator.h"
#include "core/trace.h"

namespace deepspeed::comm {

/// The same collectives as `inner`, bit for bit. While the tracer is on, a collective is noted from its launch until it
/// is done, and the time that a thread spends in Work::wait of one that is not done yet. A collective is noted when
/// somebody sees that it is done, with the time that its transport gives (WorkState::done_at_ns), else the time at
/// which it was seen. On accelerators the times are the host's: when it launches, and when it sees the result.
/// `channel` tells the collectives of two communicators apart.
std::unique_ptr<Communicator> make_traced_communicator(std::unique_ptr<Communicator> inner,
                                                       std::shared_ptr<core::Tracer> tracer, uint8_t channel);

}  // namespace deepspeed::comm
