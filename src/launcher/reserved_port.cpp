// Binding on all addresses, IPv6 and IPv4 at once where the host has both.
#include "launcher/reserved_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

core::Descriptor open_socket(int family) {
  core::Descriptor socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  const int off = 0;
  if (socket) ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (socket && family == AF_INET6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  return socket;
}

bool bind_ipv6(int fd, int port) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_any;
  address.sin6_port = htons(static_cast<uint16_t>(port));
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

bool bind_ipv4(int fd, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
}

int bound_port(int fd) {
  sockaddr_storage address{};
  socklen_t bytes = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &bytes) != 0) return 0;
  // The port stands at the same place in both kinds of address.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

}  // namespace

ReservedPort::ReservedPort(int port, const char* remedy) {
  socket_ = open_socket(AF_INET6);
  bool is_bound = socket_ && bind_ipv6(socket_.get(), port);
  if (!is_bound && (!socket_ || errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT)) {  // a host without IPv6
    socket_ = open_socket(AF_INET);
    is_bound = socket_ && bind_ipv4(socket_.get(), port);
  }
  DS_CHECK(is_bound, ValueError, "[launcher] port ", port, " for rank 0: ", std::strerror(errno),
           ". Another program has it; ", remedy, ".");
  port_ = bound_port(socket_.get());
}

}  // namespace deepspeed::launcher
