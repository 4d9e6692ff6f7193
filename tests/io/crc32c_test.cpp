#include "io/crc32c.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace deepspeed::io {
namespace {

std::string random_bytes(size_t count) {
  std::mt19937 random(7);
  std::string bytes(count, '\0');
  for (auto& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// Check values of RFC 3720, appendix B.4.
TEST(Crc32c, GivesThePublishedValues) {
  EXPECT_EQ(crc32c("", 0), 0u);
  EXPECT_EQ(crc32c("123456789", 9), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0').data(), 32), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff').data(), 32), 0x62a8ab43u);
}

TEST(Crc32c, TablesAndInstructionAgreeAtEveryLengthAndAlignment) {
  const std::string bytes = random_bytes(300);
  for (size_t begin = 0; begin < 9; ++begin) {
    for (size_t count = 0; count + begin <= bytes.size(); ++count) {
      ASSERT_EQ(crc32c(&bytes[begin], count, 5), detail::crc32c_by_tables(&bytes[begin], count, 5));
    }
  }
}

TEST(Crc32c, PiecesGiveTheSameAsTheWhole) {
  const std::string bytes = random_bytes(1000);
  for (size_t cut = 0; cut <= bytes.size(); cut += 13) {
    const uint32_t first = crc32c(bytes.data(), cut);
    EXPECT_EQ(crc32c(bytes.data() + cut, bytes.size() - cut, first), crc32c(bytes.data(), bytes.size()));
  }
}

}  // namespace
}  // namespace deepspeed::io
