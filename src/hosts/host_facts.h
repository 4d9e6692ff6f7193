// What a host says about itself, for ds_check and ds_report.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/python_versions.h"

namespace deepspeed::hosts {

/// Which of our kernels this build has, and which of them this machine runs.
struct BuiltKernels {
  std::vector<std::string> simd = {};  ///< instruction sets that CPU kernels are compiled for, best first
  std::string simd_used = {};          ///< the best that this CPU has
  bool cuda_optimizers = false;        ///< compiled; whether they run depends on the driver and the GPU

  bool operator==(const BuiltKernels&) const = default;
};

/// Less /dev/shm than this is too little for NCCL and data loaders; DeepSpeed's report has the same bound.
inline constexpr int64_t kLeastSharedMemoryBytes = 512 << 20;

struct HostFacts {
  std::string version = {};    ///< of deepspeed-cpp
  std::string host_name = {};  ///< as the host calls itself
  std::string boot_id = {};    ///< of its kernel, since it was started
  std::string kernel = {};     ///< its release
  std::string cpu = {};        ///< the model's name
  int num_sockets = 1;
  int num_cores = 1;                   ///< physical ones that we may use
  std::vector<std::string> gpus = {};  ///< names, by number; "GPU" where the driver does not say
  std::string driver = {};             ///< NVIDIA's; empty: none
  int64_t memory_bytes = 0;
  int64_t memory_free_bytes = 0;  ///< what programs can get without swapping
  int64_t shared_memory_bytes = 0;
  int64_t shared_memory_free_bytes = 0;
  std::string io_uring_fault = {};  ///< why it cannot be used; empty: it can
  BuiltKernels kernels = {};
  launcher::PythonVersions python = {};
  std::vector<std::string> addresses = {};  ///< of its interfaces, without loopback ones
  std::string ssh_client_address = {};      ///< under which it sees who asks; empty: no ssh
  std::string ssh_server_address = {};      ///< under which it was asked

  /// Of what python.versions has; empty where it is not there.
  std::string version_of(const std::string& what) const;
  bool operator==(const HostFacts&) const = default;
};

/// JSON on one line. decode_facts() throws ValueError where the text is not such a message.
std::string encode_facts(const HostFacts& facts);
HostFacts decode_facts(std::string_view text);

}  // namespace deepspeed::hosts
