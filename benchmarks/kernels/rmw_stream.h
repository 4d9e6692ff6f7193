// The limit that optimizer kernels are measured against: plain passes over the same arrays with next to no arithmetic.
#pragma once

#include <cstdint>
#include <span>

namespace deepspeed::benchmarks {

/// One pass, element by element over all arrays at once: each of `updated` (at most 3) is read, changed and written,
/// `source` is only read, and `rounded`, where it is not null, is only written, in 16 bits. One thread.
void rmw_stream(std::span<float* const> updated, const float* source, uint16_t* rounded, int64_t numel);

/// One pass that only reads; the sum keeps the compiler from leaving it out. One thread.
float read_stream(const float* source, int64_t numel);

}  // namespace deepspeed::benchmarks
