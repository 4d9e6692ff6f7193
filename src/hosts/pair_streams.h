// Which hosts send to which, and when, so that each pair is measured and none disturbs another on its own link. Pure.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace deepspeed::hosts {

/// (from, to).
using Pair = std::pair<size_t, size_t>;

/// Rounds of pairs: each ordered pair of different hosts is in exactly one round, and no host twice in a round.
std::vector<std::vector<Pair>> plan_rounds(size_t num_hosts);

/// What a stream from one host to another showed.
struct PairSpeed {
  size_t from = 0;
  size_t to = 0;
  double bytes_per_s = 0;
  double latency_s = 0;  ///< one way: half a round trip
};

/// The slowest by bandwidth; null where there is none.
const PairSpeed* slowest(const std::vector<PairSpeed>& speeds);

}  // namespace deepspeed::hosts
