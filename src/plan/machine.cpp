// Sharing a host, and the table of known ones.
#include "plan/machine.h"

#include "deepspeed/error.h"

namespace deepspeed::plan {
namespace {

void check_host(const HostKind& kind) {
  const auto positive = [&](double value, const char* field) {
    DS_CHECK(value > 0, ValueError, "[plan.machine] ", field, " of ", kind.name, ": got ", value,
             ", expected more than 0.");
  };
  positive(kind.flops, "flops");
  positive(kind.memory_bandwidth, "memory_bandwidth");
  positive(kind.link_bandwidth, "link_bandwidth");
  DS_CHECK(kind.cores >= 0, ValueError, "[plan.machine] cores of ", kind.name, ": got ", kind.cores,
           ", expected 0 (a device a rank) or more.");
  for (const double share : {kind.contention.compute, kind.contention.transfer}) {
    DS_CHECK(share >= 0 && share < 1, ValueError, "[plan.machine] contention of ", kind.name, ": got ", share,
             ", expected 0 to below 1.");
  }
}

}  // namespace

Machine make_machine(const HostKind& kind, int ranks_per_host, int hosts, double network_bandwidth) {
  check_host(kind);
  const bool is_shared = kind.cores > 0;
  const double share = is_shared ? 1.0 / ranks_per_host : 1.0;
  Machine machine{.flops = kind.flops * share,
                  .memory_bandwidth = kind.memory_bandwidth * share,
                  .memory_bytes = kind.memory_bytes * share,
                  .contention = kind.contention,
                  .network = {.ranks_per_host = ranks_per_host,
                              .hosts = hosts,
                              .rank_bandwidth = kind.link_bandwidth,
                              .host_bandwidth = is_shared ? kind.link_bandwidth * kind.cores : 0,
                              .host_latency_s = kind.link_latency_s,
                              .messages_at_once = kind.cores,
                              .network_bandwidth = network_bandwidth,
                              .network_latency_s = kind.network_latency_s}};
  check_network(machine.network);
  return machine;
}

const std::vector<HostKind>& known_hosts() {
  // GPUs: about 40 % of the dense 16-bit peak, 80 % of the memory's and of NVLink's bandwidth, and a tenth of the
  // device at work for a collective: round figures for transformers of a billion parameters and more. The CPU: a
  // server of 32 cores with eight channels of DDR4.
  static const std::vector<HostKind> kinds = {
      {.name = "h100",
       .flops = 400e12,
       .memory_bandwidth = 2.6e12,
       .link_bandwidth = 360e9,
       .link_latency_s = 5e-6,
       .network_latency_s = 10e-6,
       .memory_bytes = 80e9,
       .contention = {.compute = 0.1}},
      {.name = "a100",
       .flops = 140e12,
       .memory_bandwidth = 1.6e12,
       .link_bandwidth = 240e9,
       .link_latency_s = 5e-6,
       .network_latency_s = 10e-6,
       .memory_bytes = 80e9,
       .contention = {.compute = 0.1}},
      {.name = "rtx4090",  // no NVLink: PCIe 4
       .flops = 80e12,
       .memory_bandwidth = 0.8e12,
       .link_bandwidth = 20e9,
       .link_latency_s = 10e-6,
       .network_latency_s = 20e-6,
       .memory_bytes = 24e9,
       .contention = {.compute = 0.1}},
      {.name = "cpu",
       .flops = 1e12,
       .memory_bandwidth = 120e9,
       .link_bandwidth = 4e9,
       .link_latency_s = 20e-6,
       .network_latency_s = 50e-6,
       .memory_bytes = 256e9,
       .contention = {.compute = 0.5, .transfer = 0.5},
       .cores = 32},
  };
  return kinds;
}

const HostKind& find_host(std::string_view name) {
  std::string names;
  for (const HostKind& kind : known_hosts()) {
    if (kind.name == name) return kind;
    names += (names.empty() ? "" : ", ") + kind.name;
  }
  throw ValueError(concat("[plan.machine] device: got ", name, ", expected one of ", names,
                          ", or the path of a JSON file with its rates."));
}

}  // namespace deepspeed::plan
