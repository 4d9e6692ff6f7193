#include "comm/host_map.h"

#include <gtest/gtest.h>

namespace deepspeed::comm {
namespace {

TEST(HostMap, NumbersRanksInsideTheirHosts) {
  const auto map = HostMap::from_names({"a", "b", "a", "b"});
  ASSERT_TRUE(map);
  EXPECT_EQ(map->num_hosts(), 2);
  EXPECT_EQ(map->ranks_per_host(), 2);
  EXPECT_EQ(map->host_of(2), 0);
  EXPECT_EQ(map->local_rank_of(2), 1);
  EXPECT_EQ(map->rank_at(1, 1), 3);
}

TEST(HostMap, HostsOfDifferentSizesHaveNoCommonOne) {
  EXPECT_EQ(HostMap::from_names({"a", "b", "a"})->ranks_per_host(), -1);
}

TEST(HostMap, ARankWithoutAHostSharesWithNobody) { EXPECT_FALSE(HostMap::from_names({"a", "", "a"})); }

}  // namespace
}  // namespace deepspeed::comm
