// Two versions: eight table look-ups for eight bytes, and the crc32 instruction of SSE4.2.
#include "io/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace deepspeed::io {
namespace {

constexpr uint32_t kReversedPolynomial = 0x82f63b78;

using Tables = std::array<std::array<uint32_t, 256>, 8>;

// tables[k][b] is the checksum of byte b followed by k zero bytes, without the inversions.
constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kReversedPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < tables.size(); ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t crc = tables[k - 1][byte];
      tables[k][byte] = (crc >> 8) ^ tables[0][crc & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t crc32c_by_instruction(const void* data, size_t bytes, uint32_t previous) {
  auto* cursor = static_cast<const unsigned char*>(data);
  uint64_t crc = ~previous;
  for (; bytes >= 8; bytes -= 8, cursor += 8) {
    uint64_t word;
    std::memcpy(&word, cursor, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  auto narrow = static_cast<uint32_t>(crc);
  for (; bytes > 0; --bytes, ++cursor) narrow = _mm_crc32_u8(narrow, *cursor);
  return ~narrow;
}
bool has_instruction() { return __builtin_cpu_supports("sse4.2") != 0; }
#else
uint32_t crc32c_by_instruction(const void* data, size_t bytes, uint32_t previous) {
  return detail::crc32c_by_tables(data, bytes, previous);
}
bool has_instruction() { return false; }
#endif

}  // namespace

uint32_t detail::crc32c_by_tables(const void* data, size_t bytes, uint32_t previous) {
  auto* cursor = static_cast<const unsigned char*>(data);
  uint32_t crc = ~previous;
  for (; bytes >= 8; bytes -= 8, cursor += 8) {
    const uint32_t low = crc ^ (static_cast<uint32_t>(cursor[0]) | static_cast<uint32_t>(cursor[1]) << 8 |
                                static_cast<uint32_t>(cursor[2]) << 16 | static_cast<uint32_t>(cursor[3]) << 24);
    crc = kTables[7][low & 0xff] ^ kTables[6][(low >> 8) & 0xff] ^ kTables[5][(low >> 16) & 0xff] ^
          kTables[4][low >> 24] ^ kTables[3][cursor[4]] ^ kTables[2][cursor[5]] ^ kTables[1][cursor[6]] ^
          kTables[0][cursor[7]];
  }
  for (; bytes > 0; --bytes, ++cursor) crc = (crc >> 8) ^ kTables[0][(crc ^ *cursor) & 0xff];
  return ~crc;
}

uint32_t crc32c(const void* data, size_t bytes, uint32_t previous) {
  static const bool kByInstruction = has_instruction();
  return kByInstruction ? crc32c_by_instruction(data, bytes, previous)
                        : detail::crc32c_by_tables(data, bytes, previous);
}

}  // namespace deepspeed::io
