// Alpha-beta costs: (messages one after the other) x latency + (bytes over the narrowest link) / bandwidth.
#include "plan/network.h"

#include <algorithm>

#include "deepspeed/error.h"

namespace deepspeed::plan {
namespace {

// More ranks than a host has cores take turns, each with its own messages.
double crowding(const Network& network) {
  return network.messages_at_once > 0
             ? std::max(1.0, static_cast<double>(network.ranks_per_host) / network.messages_at_once)
             : 1.0;
}

/// The time of `bytes` that every rank of a host sends inside it.
double inside_host_s(const Network& network, double bytes) {
  const double alone = bytes / network.rank_bandwidth;
  if (network.host_bandwidth <= 0) return alone;
  return std::max(alone, bytes * network.ranks_per_host / network.host_bandwidth);
}

CollectiveCost direct_cost(const Network& network, double bytes) {
  const double world = network.world();
  const double near = network.ranks_per_host - 1;
  const double far = world - network.ranks_per_host;
  CollectiveCost cost;
  cost.latency_s = (near * network.host_latency_s + far * network.network_latency_s) * crowding(network);
  cost.sent_host_bytes = network.ranks_per_host * far / world * bytes;
  if (near > 0) cost.transfer_s = inside_host_s(network, near / world * bytes);
  if (far > 0) cost.transfer_s = std::max(cost.transfer_s, cost.sent_host_bytes / network.network_bandwidth);
  return cost;
}

CollectiveCost ring_cost(const Network& network, double bytes) {
  const double sent = (network.world() - 1.0) / network.world() * bytes;
  const double turn_s =
      network.hosts > 1 ? std::max(network.host_latency_s, network.network_latency_s) : network.host_latency_s;
  CollectiveCost cost;
  cost.latency_s = (network.world() - 1) * turn_s * crowding(network);
  if (network.ranks_per_host > 1) cost.transfer_s = inside_host_s(network, sent);
  if (network.hosts > 1) {
    cost.sent_host_bytes = sent;
    cost.transfer_s = std::max(cost.transfer_s, sent / network.network_bandwidth);
  }
  return cost;
}

CollectiveCost hierarchical_cost(const Network& network, double bytes) {
  Network inside = network;
  inside.hosts = 1;
  CollectiveCost cost = direct_cost(inside, bytes);
  cost.sent_host_bytes = (network.hosts - 1.0) / network.hosts * bytes;
  cost.latency_s += (network.hosts - 1) * network.network_latency_s * crowding(network);
  if (network.hosts > 1) cost.transfer_s += cost.sent_host_bytes / network.network_bandwidth;
  return cost;
}

}  // namespace

std::string_view algorithm_name(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kDirect:
      return "direct";
    case Algorithm::kRing:
      return "ring";
    case Algorithm::kHierarchical:
      return "hierarchical";
  }
  return "";
}

CollectiveCost collective_cost(Algorithm algorithm, const Network& network, double bytes) {
  if (network.world() == 1) return {};
  CollectiveCost cost;
  switch (algorithm) {
    case Algorithm::kDirect:
      cost = direct_cost(network, bytes);
      break;
    case Algorithm::kRing:
      cost = ring_cost(network, bytes);
      break;
    case Algorithm::kHierarchical:
      cost = hierarchical_cost(network, bytes);
      break;
  }
  cost.sent_rank_bytes = (network.world() - 1.0) / network.world() * bytes;
  return cost;
}

CollectiveCost collective_cost(const Network& network, double bytes) {
  CollectiveCost best = collective_cost(Algorithm::kDirect, network, bytes);
  for (const Algorithm algorithm : {Algorithm::kHierarchical, Algorithm::kRing}) {
    const CollectiveCost cost = collective_cost(algorithm, network, bytes);
    if (cost.total_s() < best.total_s()) best = cost;
  }
  return best;
}

void check_network(const Network& network) {
  DS_CHECK(network.ranks_per_host >= 1 && network.hosts >= 1, ValueError, "[plan.network] got ", network.hosts,
           " hosts with ", network.ranks_per_host, " ranks each, expected at least 1 of both.");
  DS_CHECK(network.ranks_per_host == 1 || network.rank_bandwidth > 0, ValueError,
           "[plan.network] bandwidth inside a host: got ", network.rank_bandwidth, " bytes/s, expected more than 0.");
  DS_CHECK(network.hosts == 1 || network.network_bandwidth > 0, ValueError,
           "[plan.network] bandwidth between hosts: got ", network.network_bandwidth,
           " bytes/s, expected more than 0.");
  DS_CHECK(network.host_latency_s >= 0 && network.network_latency_s >= 0, ValueError, "[plan.network] latencies: got ",
           network.host_latency_s, " s and ", network.network_latency_s, " s, expected 0 or more.");
}

}  // namespace deepspeed::plan
