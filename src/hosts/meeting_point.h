// A TCP port at which hosts of a check meet, and the way there: is it reached, how fast is an answer, how fast a
// stream?
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/descriptor.h"
#include "hosts/probe_messages.h"

namespace deepspeed::hosts {

/// Listens on all addresses, IPv6 and IPv4, until it is destroyed, which hangs up on all. One thread calls it; each
/// connection has one of its own, so that nobody waits for a stranger or a host that stalls.
class MeetingPoint {
 public:
  /// Throws ValueError, with the system's words, where the port is taken or not allowed.
  explicit MeetingPoint(const ListenRequest& request);
  ~MeetingPoint();
  MeetingPoint(const MeetingPoint&) = delete;
  MeetingPoint& operator=(const MeetingPoint&) = delete;

  int port() const { return port_; }
  int fd() const { return socket_.get(); }
  /// Takes one connection and returns; it is served to its end: a moment, with a stream as long as that. Who does not
  /// say the token within a second is left standing.
  void serve();

 private:
  struct Guest;

  std::string token_;
  core::Descriptor socket_;
  int port_ = 0;
  std::vector<std::unique_ptr<Guest>> guests_;
};

/// Goes there. What fails is the meeting's fault, in words.
Meeting meet(const MeetRequest& request);

}  // namespace deepspeed::hosts
