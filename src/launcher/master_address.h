// Under which address the hosts of a launch meet.
#pragma once

#include <string>
#include <vector>

#include "launcher/messages.h"

namespace deepspeed::launcher {

/// The first host's address that the others most likely reach: the one that ssh or Slurm reached it under; where that
/// is a loopback address, so that we are on that host, the one under which another host sees us; else the first of its
/// interfaces. 127.0.0.1 where no host has any other. Pure.
std::string choose_master_address(const std::vector<Hello>& hellos);

/// Both ends of the ssh connection that this process stands behind; empty without one.
struct SshConnection {
  std::string client_address;
  std::string server_address;
};
SshConnection ssh_connection();

/// The address from which packets to `address`, or to a name, leave this host; empty where no way leads there.
std::string own_address_towards(const std::string& address);

bool is_loopback(const std::string& address);

/// Of this host's interfaces that are up, without loopback ones; IPv4 first.
std::vector<std::string> interface_addresses();

/// The interface over which packets to `address` leave, or that has it; empty where that is a loopback one or unknown.
std::string interface_towards(const std::string& address);

/// Sets GLOO_SOCKET_IFNAME for this process's children, unless it is set, to the interface towards the address. Gloo
/// would take that of the host's own name, which is a loopback one on many systems: then nobody reaches it.
void choose_gloo_interface(const std::string& master_addr);

}  // namespace deepspeed::launcher
