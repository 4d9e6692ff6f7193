// The GPUs of this host as NVIDIA's management library (NVML) tells of them: those that this process may use, in a
// container or a cgroup too. It is looked for when it is asked; nothing is linked.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace deepspeed::launcher {

/// What we call of NVML. 0 is success everywhere; a device is a pointer that only NVML understands.
struct NvmlCalls {
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  int (*count)(unsigned* count) = nullptr;
  int (*device)(unsigned index, void** device) = nullptr;
  int (*name)(void* device, char* name, unsigned bytes) = nullptr;
};

/// The names of the GPUs, in NVML's order (that of their PCI buses); "GPU" where it does not say. GPUs that this
/// process may not use are left out. Nothing where NVML does not start, as without a driver.
std::optional<std::vector<std::string>> list_gpus(const NvmlCalls& nvml);

/// The same of the library in the file system at `root`: "/" is this machine, whose loader looks for it; below another
/// root (in tests) it is libnvidia-ml.so.1 there. Nothing where there is none, so that device files have to do.
std::optional<std::vector<std::string>> ask_nvml(const std::filesystem::path& root);

}  // namespace deepspeed::launcher
