// What a host is asked that has nothing of ours yet: a fixed script for sh, and what it answers. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace deepspeed::hosts {

/// Goes to the standard input of kDeviceShell there. Nothing of the user's is in it.
extern const std::string_view kDeviceScript;

/// What the login shell of the host is asked to run.
inline constexpr const char* kDeviceShell = "exec /bin/sh -s";

struct Devices {
  std::string host_name;
  std::vector<std::string> gpus = {};  ///< their names, in the driver's order; "GPU" where only /dev tells of them
  int num_sockets = 1;                 ///< of its CPUs
  int num_cpus = 1;                    ///< hardware threads
  std::string fault = {};              ///< of nvidia-smi, in its own words; empty: none

  /// Ranks by default: one a GPU, without GPUs one a socket.
  int num_slots() const { return gpus.empty() ? num_sockets : static_cast<int>(gpus.size()); }
  bool operator==(const Devices&) const = default;
};

/// Reads the answer out of what came, in which a login shell may have said something before.
/// Throws ValueError where there is no whole answer.
Devices parse_devices(const std::vector<std::string>& lines);

}  // namespace deepspeed::hosts
