// Connections between processes of one host that carry descriptors of files: SOCK_SEQPACKET in the abstract namespace,
// which leaves no file behind. One network namespace, one user.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "core/descriptor.h"

namespace deepspeed::transport {

using Clock = std::chrono::steady_clock;

/// A packet and the file that came with it.
struct Packet {
  size_t bytes = 0;
  core::Descriptor file;
};

class LocalSocket {
 public:
  LocalSocket() = default;
  explicit LocalSocket(core::Descriptor socket) : socket_(std::move(socket)) {}

  /// Tries until somebody listens there. Throws CommError at the deadline, or where the other belongs to another user.
  static LocalSocket connect(const std::string& name, Clock::time_point deadline);

  /// Sends at once, since packets are small and few, or throws CommError. False: the other side has closed. `file` may
  /// be -1.
  bool send(std::span<const std::byte> packet, int file);

  /// Waits for a packet of at most into.size() bytes; nothing at the deadline. Throws CommError where the other side
  /// has closed.
  std::optional<Packet> receive(std::span<std::byte> into, Clock::time_point deadline);

 private:
  core::Descriptor socket_;
};

class LocalListener {
 public:
  /// Throws CommError where the name is taken.
  LocalListener(const std::string& name, int most_waiting);

  /// Nothing at the deadline. Connections of other users are turned away.
  std::optional<LocalSocket> accept(Clock::time_point deadline);

 private:
  core::Descriptor socket_;
};

}  // namespace deepspeed::transport
