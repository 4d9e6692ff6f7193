// Rank sums against the reference, and copies.
#include "kernels/rank_sum_kernels.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "deepspeed/error.h"
#include "kernels/copy_kernels.h"

namespace deepspeed::kernels {
namespace {

using core::Dtype;

/// Random finite elements of any type, as bytes.
std::vector<std::byte> elements(std::mt19937& random, Dtype dtype, int64_t numel) {
  std::normal_distribution<float> normal;
  std::vector<std::byte> bytes(static_cast<size_t>(numel * core::dtype_bytes(dtype)));
  for (int64_t i = 0; i < numel; ++i) {
    if (dtype == Dtype::kFloat64) {
      const double value = normal(random);
      std::memcpy(bytes.data() + i * 8, &value, 8);
    } else if (dtype == Dtype::kFloat32) {
      const float value = normal(random);
      std::memcpy(bytes.data() + i * 4, &value, 4);
    } else {
      // Exponents around one in both 16-bit types.
      const auto value = static_cast<uint16_t>((random() & 0x83FFU) | (dtype == Dtype::kFloat16 ? 0x3800U : 0x3F00U));
      std::memcpy(bytes.data() + i * 2, &value, 2);
    }
  }
  return bytes;
}

void expect_equal_to_reference(Dtype own, Dtype wire, int ranks, int own_rank, int64_t numel) {
  std::mt19937 random(static_cast<unsigned>(ranks * 100 + own_rank));
  std::vector<std::vector<std::byte>> parts;
  std::vector<const void*> pointers;
  for (int rank = 0; rank < ranks; ++rank) parts.push_back(elements(random, rank == own_rank ? own : wire, numel));
  for (const auto& part : parts) pointers.push_back(part.data());
  std::vector<std::byte> expected(parts[own_rank].size());
  RankSumArgs args{.parts = pointers,
                   .own_rank = own_rank,
                   .own_dtype = own,
                   .wire_dtype = wire,
                   .result = expected.data(),
                   .numel = numel,
                   .scale = 0.3};
  rank_sum_reference(args);
  std::vector<std::byte> room(expected.size() + 128);
  std::byte* const aligned = room.data() + (64 - reinterpret_cast<uintptr_t>(room.data()) % 64);
  args.streams = true;
  for (std::byte* const result : {aligned, aligned + core::dtype_bytes(own)}) {  // as vectors want it, and not
    args.result = result;
    rank_sum(args);
    EXPECT_EQ(std::memcmp(result, expected.data(), expected.size()), 0) << "streamed";
  }
  args.streams = false;
  args.result = parts[own_rank].data();  // in place
  rank_sum(args);
  EXPECT_EQ(parts[own_rank], expected) << core::dtype_name(own) << " from " << core::dtype_name(wire) << ", " << ranks
                                       << " ranks, own " << own_rank << ", " << numel;
}

TEST(RankSum, HasTheReferencesBitsForEveryTypeAndRank) {
  for (const Dtype own : {Dtype::kFloat32, Dtype::kBFloat16, Dtype::kFloat16}) {
    for (const Dtype wire : {Dtype::kFloat32, Dtype::kBFloat16, Dtype::kFloat16}) {
      for (const int ranks : {1, 2, 3, 5}) {
        for (int own_rank = 0; own_rank < ranks; ++own_rank) {
          for (const int64_t numel : {1, 17, 5000}) expect_equal_to_reference(own, wire, ranks, own_rank, numel);
        }
      }
    }
  }
  expect_equal_to_reference(Dtype::kFloat64, Dtype::kFloat64, 3, 1, 100);
}

TEST(RankSum, RefusesFloat64WithAnotherType) {
  double own = 0;
  float other = 0;
  const void* parts[] = {&own, &other};
  EXPECT_THROW(rank_sum({.parts = parts, .own_dtype = Dtype::kFloat64, .result = &own, .numel = 1}), NotSupported);
}

class CopyTest : public ::testing::TestWithParam<void (*)(void*, const void*, int64_t)> {};

TEST_P(CopyTest, CopiesEveryLengthAtEveryAlignmentAndNothingElse) {
  std::mt19937 random(3);
  std::vector<uint8_t> source(1000);
  for (uint8_t& byte : source) byte = static_cast<uint8_t>(random());
  for (const int64_t bytes : {0, 1, 31, 64, 255, 256, 257, 900}) {
    for (const int64_t from : {0, 1, 33}) {
      for (const int64_t to : {0, 7, 64}) {
        std::vector<uint8_t> target(1000, 0xEE);
        GetParam()(target.data() + to, source.data() + from, bytes);
        std::vector<uint8_t> expected(1000, 0xEE);
        std::memcpy(expected.data() + to, source.data() + from, static_cast<size_t>(bytes));
        ASSERT_EQ(target, expected) << bytes << " from " << from << " to " << to;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(CachedAndStreamed, CopyTest, ::testing::Values(&copy_bytes, &stream_bytes));

}  // namespace
}  // namespace deepspeed::kernels
