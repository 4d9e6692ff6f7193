// This host's facts, out of NVML, /proc, /sys and /dev, without CUDA or torch.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "hosts/host_facts.h"

namespace deepspeed::hosts {

/// About a tenth of a second, for Python. Facts that cannot be read stay empty. `interpreter` empty: there is no
/// Python, for the reason `no_python`.
HostFacts read_facts(const std::string& interpreter, const std::string& no_python);

/// Where there is no NVML: the names of the GPUs whose /dev/nvidiaN is there, by N. `root` is "/" but in tests.
std::vector<std::string> read_gpus(const std::filesystem::path& root);

/// "580.65.06" out of what /proc/driver/nvidia/version says; empty where that tells of no version. Pure.
std::string driver_version(std::string_view text);

/// A line `name: 123 kB` of /proc/meminfo, in bytes; 0 where there is none. Pure.
int64_t meminfo_bytes(std::string_view text, std::string_view name);

/// What this build has; `cpu_flags` are those of /proc/cpuinfo. Pure.
BuiltKernels built_kernels(std::string_view cpu_flags);

}  // namespace deepspeed::hosts
