// Choosing an address; asking the kernel for interfaces and routes.
#include "launcher/master_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <sstream>

#include "core/descriptor.h"
#include "core/environment.h"

namespace deepspeed::launcher {
namespace {

constexpr const char* kLoopback = "127.0.0.1";
constexpr const char* kAnyPort = "9";  // nothing is sent there

using Interfaces = std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)>;

Interfaces read_interfaces() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) list = nullptr;
  return {list, &::freeifaddrs};
}

// Numeric, without a scope; empty for what is neither IPv4 nor IPv6.
std::string text_of(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address == nullptr) return text;
  if (address->sa_family == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, text, sizeof(text));
  } else if (address->sa_family == AF_INET6) {
    ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr, text, sizeof(text));
  }
  return text;
}

bool is_usable(const std::string& address) { return !address.empty() && !is_loopback(address); }

}  // namespace

// SSH_CONNECTION: "client-address client-port server-address server-port".
SshConnection ssh_connection() {
  SshConnection connection;
  std::istringstream words(core::environment("SSH_CONNECTION").value_or(""));
  std::string port;
  words >> connection.client_address >> port >> connection.server_address;
  return connection;
}

std::string own_address_towards(const std::string& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.c_str(), kAnyPort, &hints, &found) != 0) return {};
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  const core::Descriptor socket(::socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage own{};
  socklen_t bytes = sizeof(own);
  if (!socket || ::connect(socket.get(), found->ai_addr, found->ai_addrlen) != 0 ||
      ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&own), &bytes) != 0) {
    return {};
  }
  return text_of(reinterpret_cast<const sockaddr*>(&own));
}

bool is_loopback(const std::string& address) { return address.starts_with("127.") || address == "::1"; }

std::string choose_master_address(const std::vector<Hello>& hellos) {
  const Hello& first = hellos.front();
  if (is_usable(first.called_address)) return first.called_address;
  for (const Hello& other : hellos) {
    const bool is_ours =
        std::find(first.addresses.begin(), first.addresses.end(), other.caller_address) != first.addresses.end();
    if (is_usable(other.caller_address) && is_ours) return other.caller_address;
  }
  const bool all_are_here =
      std::all_of(hellos.begin(), hellos.end(), [](const Hello& one) { return !is_usable(one.called_address); });
  return all_are_here || first.addresses.empty() ? kLoopback : first.addresses.front();
}

std::vector<std::string> interface_addresses() {
  std::vector<std::string> ipv4, ipv6;
  const Interfaces interfaces = read_interfaces();
  for (const ifaddrs* one = interfaces.get(); one != nullptr; one = one->ifa_next) {
    const std::string address = text_of(one->ifa_addr);
    if ((one->ifa_flags & IFF_UP) == 0 || !is_usable(address) || address.starts_with("fe80:")) continue;
    (one->ifa_addr->sa_family == AF_INET ? ipv4 : ipv6).push_back(address);
  }
  ipv4.insert(ipv4.end(), ipv6.begin(), ipv6.end());
  return ipv4;
}

std::string interface_towards(const std::string& address) {
  const std::string own = own_address_towards(address);
  if (own.empty() || is_loopback(own)) return {};
  const Interfaces interfaces = read_interfaces();
  for (const ifaddrs* one = interfaces.get(); one != nullptr; one = one->ifa_next) {
    if (text_of(one->ifa_addr) == own) return one->ifa_name;
  }
  return {};
}

void choose_gloo_interface(const std::string& master_addr) {
  const std::string interface = interface_towards(master_addr);
  if (!interface.empty()) ::setenv("GLOO_SOCKET_IFNAME", interface.c_str(), 0);
}

}  // namespace deepspeed::launcher
