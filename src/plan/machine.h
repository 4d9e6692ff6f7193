// What hosts are made of: how fast a rank computes, and how it shares its host with the others.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "plan/network.h"
#include "plan/timeline.h"

namespace deepspeed::plan {

/// Rates are what programs reach, not what data sheets say. Of a CPU host (`cores` above 0) they are the host's, and
/// its ranks share them; otherwise each rank has a device of its own.
struct HostKind {
  std::string name;
  double flops = 0;              ///< a second, in matrix products
  double memory_bandwidth = 0;   ///< bytes a second, in the optimizer step
  double link_bandwidth = 0;     ///< bytes a second that a rank, of a CPU host a core, sends inside the host
  double link_latency_s = 0;     ///< of one message inside a host
  double network_latency_s = 0;  ///< of one between hosts
  double memory_bytes = 0;       ///< of a device, of a CPU host all of it
  Contention contention;
  int cores = 0;
};

/// What one rank of `ranks_per_host` has.
struct Machine {
  double flops = 0;
  double memory_bandwidth = 0;
  double memory_bytes = 0;
  Contention contention;
  Network network;
};

/// `network_bandwidth` is a host's, bytes a second. Throws ValueError, naming the field, where one makes no sense.
Machine make_machine(const HostKind& kind, int ranks_per_host, int hosts, double network_bandwidth);

/// The kinds that are known by name, and what they are.
const std::vector<HostKind>& known_hosts();

/// Throws ValueError that lists the names.
const HostKind& find_host(std::string_view name);

}  // namespace deepspeed::plan
