// Both ends of a connection: token, acknowledgement, pings, then the stream, whose receiver keeps the time.
#include "hosts/meeting_point.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "deepspeed/error.h"
#include "launcher/master_address.h"

namespace deepspeed::hosts {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// A hundred hosts may come to one meeting point, a stream has it for itself.
int num_pings(double stream_s) { return stream_s > 0 ? 21 : 3; }

constexpr double kWarmUp_s = 0.2;  // a stream is measured after it: windows grow, queues and token buckets fill
constexpr double kStrangers_s = 1;
constexpr size_t kPingBytes = 8;
constexpr size_t kChunkBytes = size_t{256} << 10;
constexpr std::string_view kAcknowledgement = "ds-here\n";

Clock::time_point in_seconds(double seconds) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(Seconds(seconds));
}

// Waits for the events; false when the time is over.
bool wait_until(int fd, short events, Clock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd entry{fd, events, 0};
    if (::poll(&entry, 1, static_cast<int>(left)) > 0) return true;
  }
}

bool is_passing(int error_number) { return error_number == EAGAIN || error_number == EINTR; }

bool send_all(int fd, std::string_view bytes, Clock::time_point deadline) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (!is_passing(errno) || !wait_until(fd, POLLOUT, deadline)) {
      return false;
    }
  }
  return true;
}

// So many bytes; fewer where the connection ends or the time is over before.
std::string receive_some(int fd, size_t count, Clock::time_point deadline) {
  std::string bytes(count, '\0');
  size_t at = 0;
  while (at < bytes.size()) {
    const ssize_t got = ::recv(fd, bytes.data() + at, bytes.size() - at, 0);
    if (got > 0) {
      at += static_cast<size_t>(got);
    } else if (got == 0 || !is_passing(errno) || !wait_until(fd, POLLIN, deadline)) {
      bytes.resize(at);
    }
  }
  return bytes;
}

// Exactly so many bytes, or nothing.
std::string receive_all(int fd, size_t count, Clock::time_point deadline) {
  std::string bytes = receive_some(fd, count, deadline);
  return bytes.size() == count ? bytes : "";
}

void set_up(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
}

// ---- who listens ----

core::Descriptor bound_socket(int family, int port) {
  core::Descriptor socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return socket;
  const int on = 1;
  const int off = 0;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in6 ipv6{};
  ipv6.sin6_family = AF_INET6;
  ipv6.sin6_port = htons(static_cast<uint16_t>(port));
  sockaddr_in ipv4{};
  ipv4.sin_family = AF_INET;
  ipv4.sin_port = htons(static_cast<uint16_t>(port));
  const bool is_ipv6 = family == AF_INET6;
  if (is_ipv6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  const auto* address = is_ipv6 ? reinterpret_cast<const sockaddr*>(&ipv6) : reinterpret_cast<const sockaddr*>(&ipv4);
  if (::bind(socket.get(), address, is_ipv6 ? sizeof(ipv6) : sizeof(ipv4)) != 0) socket.reset();
  return socket;
}

int port_of(int fd) {
  sockaddr_storage address{};
  socklen_t bytes = sizeof(address);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &bytes);
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);  // at the same place in both kinds
}

std::string encode_count(uint64_t count) {
  std::string bytes;
  for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>((count >> shift) & 0xFF);
  return bytes;
}

uint64_t decode_count(std::string_view bytes) {
  uint64_t count = 0;
  for (const char c : bytes) count = (count << 8) | static_cast<uint8_t>(c);
  return count;
}

// Counts what comes after the warm-up, says so, and waits for the sender to go.
void receive_stream(int fd, double stream_s) {
  std::vector<char> buffer(kChunkBytes);
  const auto measured_from = in_seconds(kWarmUp_s);
  const auto measured_until = in_seconds(kWarmUp_s + stream_s);
  uint64_t count = 0;
  Clock::time_point last;
  while ((last = Clock::now()) < measured_until) {
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got == 0 || (got < 0 && !is_passing(errno))) return;
    if (got < 0) wait_until(fd, POLLIN, measured_until);
    if (got > 0 && last >= measured_from) count += static_cast<uint64_t>(got);
  }
  const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(last - measured_from).count();
  send_all(fd, encode_count(count) + encode_count(static_cast<uint64_t>(nanoseconds)), in_seconds(kStrangers_s));
  const auto patience = in_seconds(kStrangers_s);
  while (wait_until(fd, POLLIN, patience) && ::recv(fd, buffer.data(), buffer.size(), 0) > 0) {
  }
}

void serve_guest(int fd, const std::string& token) {
  const auto patience = in_seconds(kStrangers_s);
  if (receive_all(fd, kTokenBytes, patience) != token) return;
  const std::string milliseconds = receive_all(fd, sizeof(uint64_t), patience);
  if (milliseconds.empty() || !send_all(fd, kAcknowledgement, patience)) return;
  const double stream_s = 1e-3 * static_cast<double>(std::min<uint64_t>(decode_count(milliseconds), 60'000));
  for (int i = 0; i < num_pings(stream_s); ++i) {
    const std::string ping = receive_all(fd, kPingBytes, in_seconds(kStrangers_s));
    if (ping.empty() || !send_all(fd, ping, in_seconds(kStrangers_s))) return;
  }
  if (stream_s > 0) receive_stream(fd, stream_s);
}

// ---- who goes there ----

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

// Why there is no connection; empty: there is one.
std::string connect_fault(int fd, const addrinfo& address, const MeetRequest& request, Clock::time_point deadline) {
  if (::connect(fd, address.ai_addr, address.ai_addrlen) == 0) return {};
  int fault = errno;
  if (fault == EINPROGRESS) {
    if (!wait_until(fd, POLLOUT, deadline)) return concat("no answer within ", request.patience_s, " s");
    socklen_t bytes = sizeof(fault);
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &bytes);
  }
  return fault == 0 ? "" : std::strerror(fault);
}

// At the first of its addresses that takes the connection.
core::Descriptor connect_to(const MeetRequest& request, Clock::time_point deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(request.address.c_str(), std::to_string(request.port).c_str(), &hints, &found);
  DS_CHECK(code == 0, ValueError, request.address, ": ", ::gai_strerror(code));
  const Addresses addresses(found, &::freeaddrinfo);
  std::string fault;
  int num_left = 0;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) ++num_left;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    const auto share = std::max(deadline - Clock::now(), Clock::duration::zero()) / num_left--;  // one may be silent
    core::Descriptor socket(::socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    fault = socket ? connect_fault(socket.get(), *one, request, Clock::now() + share) : std::strerror(errno);
    if (!fault.empty()) continue;
    set_up(socket.get());
    return socket;
  }
  throw ValueError(fault);
}

// The acknowledgement, or why there is none.
void be_acknowledged(int fd, const MeetRequest& request, Clock::time_point deadline) {
  const std::string greeting = request.token + encode_count(static_cast<uint64_t>(request.stream_s * 1000));
  const std::string answer =
      send_all(fd, greeting, deadline) ? receive_some(fd, kAcknowledgement.size(), deadline) : std::string();
  if (answer == kAcknowledgement) return;
  DS_CHECK(!answer.empty() || Clock::now() < deadline, ValueError, "connected, but no answer within ",
           request.patience_s, " s");
  throw ValueError("somebody else answers under this address and port");
}

double median_ping_s(int fd, int num_pings) {
  std::vector<double> times(static_cast<size_t>(num_pings));
  const std::string ping(kPingBytes, 'p');
  for (double& time : times) {
    const auto begin = Clock::now();
    const bool is_back =
        send_all(fd, ping, in_seconds(kStrangers_s)) && receive_all(fd, kPingBytes, in_seconds(kStrangers_s)) == ping;
    DS_CHECK(is_back, ValueError, "the connection was lost");
    time = Seconds(Clock::now() - begin).count();
  }
  std::nth_element(times.begin(), times.begin() + num_pings / 2, times.end());
  return times[times.size() / 2];
}

// Sends until the receiver says what it has counted.
double send_stream(int fd, double stream_s) {
  const std::string chunk(kChunkBytes, 's');
  const auto deadline = in_seconds(kWarmUp_s + stream_s + 2 * kStrangers_s);
  while (Clock::now() < deadline) {
    pollfd entry{fd, POLLIN | POLLOUT, 0};
    if (::poll(&entry, 1, 1000) <= 0) continue;
    if ((entry.revents & POLLIN) != 0) break;
    const ssize_t sent = ::send(fd, chunk.data(), chunk.size(), MSG_NOSIGNAL);
    DS_CHECK(sent >= 0 || is_passing(errno), ValueError, "the stream was cut: ", std::strerror(errno));
  }
  const std::string result = receive_all(fd, 2 * sizeof(uint64_t), deadline);
  const linger at_once{1, 0};  // what is still on its way is of no use
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  DS_CHECK(!result.empty(), ValueError, "the other end of the stream did not say what it got");
  const std::string_view view = result;
  const auto count = static_cast<double>(decode_count(view.substr(0, sizeof(uint64_t))));
  const double seconds = 1e-9 * static_cast<double>(decode_count(view.substr(sizeof(uint64_t))));
  return seconds > 0 ? count / seconds : 0;
}

}  // namespace

// Its connection is closed here only, so that its number is nobody else's as long as anyone may hang up on it.
struct MeetingPoint::Guest {
  Guest(core::Descriptor descriptor, const std::string& token)
      : connection(std::move(descriptor)), thread([this, &token] {
          serve_guest(connection.get(), token);
          hang_up();
          has_gone = true;
        }) {}
  ~Guest() {
    hang_up();
    thread.join();
  }
  void hang_up() const { ::shutdown(connection.get(), SHUT_RDWR); }

  core::Descriptor connection;
  std::atomic<bool> has_gone = false;
  std::thread thread;  // the last to begin
};

MeetingPoint::MeetingPoint(const ListenRequest& request) : token_(request.token) {
  socket_ = bound_socket(AF_INET6, request.port);
  if (!socket_ && (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT)) socket_ = bound_socket(AF_INET, request.port);
  const bool is_open = socket_ && ::listen(socket_.get(), SOMAXCONN) == 0;
  DS_CHECK(is_open, ValueError, std::strerror(errno));
  port_ = port_of(socket_.get());
}

MeetingPoint::~MeetingPoint() = default;

void MeetingPoint::serve() {
  std::erase_if(guests_, [](const auto& guest) { return guest->has_gone.load(); });
  core::Descriptor connection(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!connection) return;
  set_up(connection.get());
  guests_.push_back(std::make_unique<Guest>(std::move(connection), token_));
}

Meeting meet(const MeetRequest& request) {
  Meeting meeting;
  try {
    const auto deadline = in_seconds(request.patience_s);
    const core::Descriptor socket = connect_to(request, deadline);
    const int fd = socket.get();
    meeting.interface = launcher::interface_towards(request.address);
    be_acknowledged(fd, request, deadline);
    meeting.round_trip_s = median_ping_s(fd, num_pings(request.stream_s));
    if (request.stream_s > 0) meeting.bytes_per_s = send_stream(fd, request.stream_s);
  } catch (const ValueError& error) {
    meeting.fault = error.what();
  }
  return meeting;
}

}  // namespace deepspeed::hosts
