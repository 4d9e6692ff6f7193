#include "transport/staging_ring.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace deepspeed::transport {
namespace {

TEST(StagingRing, PartsNeverOverlapWhileTheyAreHeld) {
  std::mt19937 random(7);
  constexpr int64_t kBytes = 10'000;
  StagingRing ring(kBytes);
  std::deque<std::pair<int64_t, int64_t>> held;
  uint64_t freed = 0;
  int refused = 0;
  for (int turn = 0; turn < 100'000; ++turn) {
    const int64_t bytes = 1 + static_cast<int64_t>(random() % 4000);
    const auto begin = ring.reserve(bytes);
    if (begin) {
      ASSERT_EQ(*begin % 64, 0);
      ASSERT_LE(*begin + bytes, kBytes);
      for (const auto& [other_begin, other_end] : held) {
        ASSERT_TRUE(*begin + bytes <= other_begin || *begin >= other_end);
      }
      held.emplace_back(*begin, *begin + bytes);
    } else {
      ++refused;
    }
    if (!held.empty() && (!begin || random() % 3 == 0)) {
      held.pop_front();
      ++freed;
      ring.free_read([&](uint64_t part) { return part < freed; });
    }
    ASSERT_EQ(ring.is_empty(), held.empty());
  }
  EXPECT_GT(refused, 0);
}

TEST(StagingRing, AnEmptyOneTakesAllOfItsBytesAndNoMore) {
  StagingRing ring(640);
  EXPECT_FALSE(ring.reserve(641));
  EXPECT_EQ(ring.reserve(640), 0);
  EXPECT_FALSE(ring.reserve(1));
}

}  // namespace
}  // namespace deepspeed::transport
