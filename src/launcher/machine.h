// What this host has: its names, GPUs, sockets and cores. Read from NVML, /dev, /sys and the affinity mask, without
// CUDA.
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace deepspeed::launcher {

/// One physical core, by its first hardware thread that this process may use.
struct Core {
  int cpu = 0;
  int socket = 0;

  bool operator==(const Core&) const = default;
};

struct Machine {
  std::string host_name;
  std::set<std::string> names;  ///< every name and address that means this host
  int num_gpus = 0;             ///< of NVML, else /dev/nvidia0 and so on; visibility variables are not looked at
  std::optional<std::vector<std::string>> gpu_names;  ///< NVML's, in its order; nothing without it
  std::vector<Core> cores;                            ///< physical cores in order of socket, then number; at least one

  int num_sockets() const;  ///< sockets that have a core of ours; at least 1
};

/// Never throws for missing files: a container without /sys topology gets one core per usable CPU, all on socket 0.
/// `root` is "/" but in tests.
Machine read_machine(const std::filesystem::path& root, const std::vector<int>& usable_cpus);

/// The CPUs in this process's affinity mask, ascending.
std::vector<int> usable_cpus();

}  // namespace deepspeed::launcher
