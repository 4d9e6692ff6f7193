// Unix sockets, SCM_RIGHTS and SO_PEERCRED.
#include "transport/local_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "deepspeed/error.h"

namespace deepspeed::transport {
namespace {

struct Address {
  sockaddr_un value{};
  socklen_t bytes = 0;

  // A name that starts with a zero byte is an abstract one.
  explicit Address(const std::string& name) {
    value.sun_family = AF_UNIX;
    DS_INTERNAL_CHECK(name.size() + 1 < sizeof(value.sun_path), "socket name of ", name.size(), " bytes");
    std::memcpy(value.sun_path + 1, name.data(), name.size());
    bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&value); }
};

core::Descriptor make_socket() {
  core::Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  DS_CHECK(socket, CommError, "[transport.local_socket] no socket: ", std::strerror(errno));
  return socket;
}

bool is_of_this_user(int socket) {
  ucred credentials{};
  socklen_t bytes = sizeof(credentials);
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) == 0 && credentials.uid == ::geteuid();
}

bool wait_readable(int socket, Clock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd wanted{.fd = socket, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&wanted, 1, static_cast<int>(std::clamp<int64_t>(left, 0, 1 << 30)));
    if (ready > 0) return true;
    if (ready == 0 && left <= 0) return false;
    DS_CHECK(ready == 0 || errno == EINTR, CommError, "[transport.local_socket] poll: ", std::strerror(errno));
  }
}

}  // namespace

LocalSocket LocalSocket::connect(const std::string& name, Clock::time_point deadline) {
  const Address address(name);
  for (auto pause = std::chrono::microseconds(200);; pause = std::min(pause * 2, std::chrono::microseconds(20'000))) {
    core::Descriptor socket = make_socket();
    if (::connect(socket.get(), address.get(), address.bytes) == 0) {
      DS_CHECK(is_of_this_user(socket.get()), CommError, "[transport.local_socket] socket ", name,
               " belongs to another user. All ranks of a host must run as one user.");
      return LocalSocket(std::move(socket));
    }
    const int error = errno;
    DS_CHECK(error == ECONNREFUSED || error == EAGAIN || error == EINTR || error == ENOENT, CommError,
             "[transport.local_socket] connecting to ", name, ": ", std::strerror(error));
    DS_CHECK(Clock::now() < deadline, CommError, "[transport.local_socket] nobody listens at ", name,
             ". Has the other rank ended?");
    std::this_thread::sleep_for(pause);
  }
}

bool LocalSocket::send(std::span<const std::byte> packet, int file) {
  iovec data{.iov_base = const_cast<std::byte*>(packet.data()), .iov_len = packet.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (file >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &file, sizeof(int));
  }
  while (::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) < 0) {
    if (errno == EPIPE || errno == ECONNRESET) return false;
    DS_CHECK(errno == EINTR, CommError, "[transport.local_socket] sending to another rank: ", std::strerror(errno));
  }
  return true;
}

std::optional<Packet> LocalSocket::receive(std::span<std::byte> into, Clock::time_point deadline) {
  if (!wait_readable(socket_.get(), deadline)) return std::nullopt;
  iovec data{.iov_base = into.data(), .iov_len = into.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t bytes = 0;
  do bytes = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
  while (bytes < 0 && errno == EINTR);
  DS_CHECK(bytes >= 0, CommError, "[transport.local_socket] receiving from another rank: ", std::strerror(errno));
  DS_CHECK((message.msg_flags & MSG_CTRUNC) == 0, CommError,
           "[transport.local_socket] this process has no file descriptor left for what another rank hands over. Raise "
           "the limit before the start: ulimit -n 65536");
  Packet packet{.bytes = static_cast<size_t>(bytes), .file = {}};
  if (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    int file = -1;
    std::memcpy(&file, CMSG_DATA(header), sizeof(int));
    packet.file = core::Descriptor(file);
  }
  DS_CHECK(bytes > 0, CommError, "[transport.local_socket] another rank has closed its connection");
  return packet;
}

LocalListener::LocalListener(const std::string& name, int most_waiting) : socket_(make_socket()) {
  const Address address(name);
  DS_CHECK(::bind(socket_.get(), address.get(), address.bytes) == 0, CommError, "[transport.local_socket] binding ",
           name, ": ", std::strerror(errno));
  DS_CHECK(::listen(socket_.get(), most_waiting) == 0, CommError, "[transport.local_socket] listening at ", name, ": ",
           std::strerror(errno));
}

std::optional<LocalSocket> LocalListener::accept(Clock::time_point deadline) {
  while (wait_readable(socket_.get(), deadline)) {
    core::Descriptor socket(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (socket && is_of_this_user(socket.get())) return LocalSocket(std::move(socket));
    DS_CHECK(socket || errno == EINTR || errno == ECONNABORTED, CommError,
             "[transport.local_socket] accepting: ", std::strerror(errno));
  }
  return std::nullopt;
}

}  // namespace deepspeed::transport
