#include "plan/network.h"

#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::plan {
namespace {

// 2 hosts x 4 ranks; a rank sends 100 bytes/s inside, a host 10 bytes/s outside.
const Network kTwoHosts{.ranks_per_host = 4,
                        .hosts = 2,
                        .rank_bandwidth = 100,
                        .host_latency_s = 1,
                        .network_bandwidth = 10,
                        .network_latency_s = 5};

TEST(Network, OneRankSendsNothing) {
  const CollectiveCost cost = collective_cost(Network{}, 1e9);
  EXPECT_EQ(cost.total_s(), 0);
  EXPECT_EQ(cost.sent_rank_bytes, 0);
}

TEST(Network, DirectExchangeOnOneHostSendsAllPartsButItsOwn) {
  const Network network{.ranks_per_host = 4, .rank_bandwidth = 100, .host_latency_s = 1};
  const CollectiveCost cost = collective_cost(Algorithm::kDirect, network, 800);
  EXPECT_DOUBLE_EQ(cost.sent_rank_bytes, 600);
  EXPECT_DOUBLE_EQ(cost.sent_host_bytes, 0);
  EXPECT_DOUBLE_EQ(cost.transfer_s, 6);
  EXPECT_DOUBLE_EQ(cost.latency_s, 3);
}

TEST(Network, RanksThatShareAHostsMemorySlowEachOtherDown) {
  // 4 ranks x 600 bytes at 200 bytes/s together; 2 cores handle the messages of 4 ranks in turns.
  const Network network{
      .ranks_per_host = 4, .rank_bandwidth = 100, .host_bandwidth = 200, .host_latency_s = 1, .messages_at_once = 2};
  const CollectiveCost cost = collective_cost(Algorithm::kDirect, network, 800);
  EXPECT_DOUBLE_EQ(cost.transfer_s, 12);
  EXPECT_DOUBLE_EQ(cost.latency_s, 6);
}

TEST(Network, DirectExchangeBetweenHostsSendsEveryPartThroughTheHostsLink) {
  // Each of 4 ranks sends 4 parts of 100 bytes to the other host.
  const CollectiveCost cost = collective_cost(Algorithm::kDirect, kTwoHosts, 800);
  EXPECT_DOUBLE_EQ(cost.sent_host_bytes, 1600);
  EXPECT_DOUBLE_EQ(cost.transfer_s, 160);
  EXPECT_DOUBLE_EQ(cost.latency_s, 3 * 1 + 4 * 5);
}

TEST(Network, ARingLeavesEachHostOnce) {
  const CollectiveCost cost = collective_cost(Algorithm::kRing, kTwoHosts, 800);
  EXPECT_DOUBLE_EQ(cost.sent_host_bytes, 700);
  EXPECT_DOUBLE_EQ(cost.transfer_s, 70);
  EXPECT_DOUBLE_EQ(cost.latency_s, 7 * 5);
}

TEST(Network, HierarchyGoesInsideTheHostAndThenBetweenHosts) {
  const CollectiveCost cost = collective_cost(Algorithm::kHierarchical, kTwoHosts, 800);
  EXPECT_DOUBLE_EQ(cost.sent_host_bytes, 400);
  EXPECT_DOUBLE_EQ(cost.transfer_s, 6 + 40);
  EXPECT_DOUBLE_EQ(cost.latency_s, 3 * 1 + 5);
  EXPECT_DOUBLE_EQ(cost.sent_rank_bytes, 700);
}

TEST(Network, TheBestAlgorithmIsTheFastest) {
  const CollectiveCost best = collective_cost(kTwoHosts, 800);
  for (const Algorithm algorithm : {Algorithm::kDirect, Algorithm::kRing, Algorithm::kHierarchical})
    EXPECT_LE(best.total_s(), collective_cost(algorithm, kTwoHosts, 800).total_s()) << algorithm_name(algorithm);
}

TEST(Network, EveryAlgorithmSendsTheSameBytesARank) {
  for (const Algorithm algorithm : {Algorithm::kDirect, Algorithm::kRing, Algorithm::kHierarchical})
    EXPECT_DOUBLE_EQ(collective_cost(algorithm, kTwoHosts, 800).sent_rank_bytes, 700) << algorithm_name(algorithm);
}

TEST(Network, MoreBandwidthIsNeverSlower) {
  for (const double bytes : {1.0, 1e3, 1e6, 1e9}) {
    Network network = kTwoHosts;
    double before = collective_cost(network, bytes).total_s();
    for (int doubling = 0; doubling < 20; ++doubling) {
      network.network_bandwidth *= 2;
      const double now = collective_cost(network, bytes).total_s();
      EXPECT_LE(now, before);
      before = now;
    }
  }
}

TEST(Network, WhatMakesNoSenseIsAnErrorWithItsValue) {
  EXPECT_THROW(check_network({.ranks_per_host = 0}), ValueError);
  EXPECT_THROW(check_network({.ranks_per_host = 2}), ValueError);
  EXPECT_THROW(check_network({.hosts = 2}), ValueError);
  EXPECT_THROW(check_network({.host_latency_s = -1}), ValueError);
  EXPECT_NO_THROW(check_network({}));
}

}  // namespace
}  // namespace deepspeed::plan
