// A TCP port that belongs to this launch: rank 0 can listen on it, another launch cannot get it.
#pragma once

#include "core/descriptor.h"

namespace deepspeed::launcher {

/// Holds a socket that is bound with SO_REUSEADDR and never listens. On Linux a second socket with that option may bind
/// and listen on the same port (torch's store sets it), while the kernel does not hand the port to anyone who asks
/// for a free one. Not inherited by children.
class ReservedPort {
 public:
  /// `port` 0: a free one. Throws ValueError where the port is taken; `remedy` is what to do then.
  explicit ReservedPort(int port = 0, const char* remedy = "leave --master_port out for a free one");
  int port() const { return port_; }

 private:
  core::Descriptor socket_;
  int port_ = 0;
};

}  // namespace deepspeed::launcher
