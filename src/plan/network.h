// What a collective costs between ranks on hosts: a latency, in which nothing moves, and the time of its bytes.
#pragma once

#include <string_view>

namespace deepspeed::plan {

/// `hosts` alike hosts with `ranks_per_host` ranks each. Bandwidths in bytes a second in one direction (links are full
/// duplex), latencies in seconds a message.
struct Network {
  int ranks_per_host = 1;
  int hosts = 1;
  double rank_bandwidth = 0;     ///< that one rank sends to others on its host
  double host_bandwidth = 0;     ///< that all ranks of a host send inside it together; 0: ranks do not slow each other
  double host_latency_s = 0;     ///< inside a host
  int messages_at_once = 0;      ///< that a host handles (its cores); 0: each rank its own
  double network_bandwidth = 0;  ///< that a host sends to other hosts, all its ranks together
  double network_latency_s = 0;  ///< between hosts

  int world() const { return ranks_per_host * hosts; }
};

enum class Algorithm {
  kDirect,        ///< every rank sends every other one its part
  kRing,          ///< world - 1 turns, each rank to its neighbour: one rank of a host sends over the network at a time
  kHierarchical,  ///< directly inside each host, then in rings between hosts, one for each part
};

std::string_view algorithm_name(Algorithm algorithm);

struct CollectiveCost {
  double latency_s = 0;
  double transfer_s = 0;       ///< with the links to itself
  double sent_rank_bytes = 0;  ///< a rank
  double sent_host_bytes = 0;  ///< a host, to other hosts
  double total_s() const { return latency_s + transfer_s; }
};

/// A reduce-scatter or an all-gather over all ranks; `bytes` is the length of what is reduced or gathered, whole.
CollectiveCost collective_cost(Algorithm algorithm, const Network& network, double bytes);

/// By the best algorithm. Nothing where there is one rank.
CollectiveCost collective_cost(const Network& network, double bytes);

/// Throws ValueError, naming the value, where a count is below 1 or a used bandwidth is not positive.
void check_network(const Network& network);

}  // namespace deepspeed::plan
