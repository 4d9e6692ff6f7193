// Signals to the launcher as data: blocked, and read from a descriptor.
#pragma once

#include <csignal>
#include <optional>
#include <vector>

#include "core/descriptor.h"

namespace deepspeed::launcher {

struct ReceivedSignal {
  int number = 0;
  bool is_from_terminal = false;  ///< the kernel sent it to the whole foreground process group (Ctrl-C)
};

/// While it lives the given signals are blocked in this thread and SIGPIPE is ignored; afterwards all is as before. A
/// signal that this process was started to ignore (nohup) stays ignored.
class SignalInbox {
 public:
  explicit SignalInbox(const std::vector<int>& signals);
  ~SignalInbox();
  SignalInbox(const SignalInbox&) = delete;
  SignalInbox& operator=(const SignalInbox&) = delete;

  int fd() const { return descriptor_.get(); }
  std::optional<ReceivedSignal> next();  ///< without waiting

 private:
  core::Descriptor descriptor_;
  sigset_t old_mask_{};
  struct sigaction old_pipe_action_ {};
};

}  // namespace deepspeed::launcher
