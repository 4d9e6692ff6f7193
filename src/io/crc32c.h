// CRC-32C (Castagnoli), incremental. Uses the processor's instruction where it has one, found out at run time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace deepspeed::io {

/// The checksum of `bytes` bytes at `data`, which follow bytes whose checksum is `previous`. Any thread.
uint32_t crc32c(const void* data, size_t bytes, uint32_t previous = 0);

namespace detail {

/// The same by tables, on any processor; crc32c() falls back to it.
uint32_t crc32c_by_tables(const void* data, size_t bytes, uint32_t previous);

}  // namespace detail
}  // namespace deepspeed::io
