// Copies of memory that another core has just written or will read next.
#pragma once

#include <cstdint>

namespace deepspeed::kernels {

/// As memcpy. The C library copies blocks beyond some kilobytes with the processor's string instructions, which on
/// lines that another core has in its cache run at a third of the speed of plain vector loads and stores (measured on
/// an AMD EPYC 7003 virtual machine: 3.2 against 7.9 GB/s for an all-gather).
void copy_bytes(void* to, const void* from, int64_t bytes);

/// As copy_bytes, past the caches: for a large target that nobody reads soon, whose lines are then not fetched before
/// they are overwritten.
void stream_bytes(void* to, const void* from, int64_t bytes);

}  // namespace deepspeed::kernels
