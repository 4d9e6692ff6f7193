#include "hosts/pair_streams.h"

#include <gtest/gtest.h>

#include <set>

namespace deepspeed::hosts {
namespace {

TEST(PairStreams, EachOrderedPairIsInOneRoundAndNoHostTwiceInOne) {
  for (size_t num_hosts = 0; num_hosts <= 17; ++num_hosts) {
    std::set<Pair> seen;
    const auto rounds = plan_rounds(num_hosts);
    for (const auto& round : rounds) {
      std::set<size_t> busy;
      for (const Pair& pair : round) {
        EXPECT_TRUE(seen.insert(pair).second);
        EXPECT_TRUE(busy.insert(pair.first).second && busy.insert(pair.second).second);
        EXPECT_LT(std::max(pair.first, pair.second), num_hosts);
      }
    }
    EXPECT_EQ(seen.size(), num_hosts < 2 ? 0 : num_hosts * (num_hosts - 1));
    EXPECT_EQ(rounds.size(), num_hosts < 2 ? 0 : 2 * (num_hosts + num_hosts % 2 - 1));
  }
}

TEST(PairStreams, TheSlowestIsByBandwidth) {
  EXPECT_EQ(slowest({}), nullptr);
  const std::vector<PairSpeed> speeds = {{0, 1, 5e9, 1e-5}, {1, 0, 1e9, 2e-5}, {0, 2, 3e9, 1}};
  EXPECT_EQ(slowest(speeds), &speeds[1]);
}

}  // namespace
}  // namespace deepspeed::hosts
