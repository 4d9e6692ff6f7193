// One pdsh for all hosts (--launcher pdsh): on each, the command that --no_ssh makes. Pure.
#pragma once

#include <string>
#include <vector>

#include "launcher/command.h"

namespace deepspeed::launcher {

struct PdshLaunch {
  std::string program = "pdsh";
  std::vector<std::string> hosts = {};                ///< by name, in rank order
  std::vector<std::string> arguments = {};            ///< of --launcher_args
  std::string folder = {};                            ///< to work in
  Environment variables = {};                         ///< for all hosts
  std::string program_path = {};                      ///< of `deepspeed`, there as here
  std::vector<std::string> deepspeed_arguments = {};  ///< as the user gave them
  std::string master_addr = {};
  int master_port = 0;
};

/// Every word of the user's is quoted for the shells there; pdsh's own % is doubled.
std::vector<std::string> pdsh_command(const PdshLaunch& launch);

/// What pdsh reads: ssh as its way to hosts, and after the user's own PDSH_SSH_ARGS_APPEND that ssh never asks for a
/// password and takes this port (empty: its own choice).
Environment pdsh_variables(const Environment& environment, const std::string& ssh_port);

}  // namespace deepspeed::launcher
