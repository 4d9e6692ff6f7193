// Gloo writes to a dead rank's socket without asking for an error code instead of SIGPIPE, which would end a C++
// program before it can say what happened. (Python ignores the signal by itself.)
#pragma once

#include <pthread.h>
#include <signal.h>
#include <time.h>

namespace deepspeed::comm {

/// While it lives, this thread, and every thread that it starts, gets EPIPE instead of the signal.
class BrokenPipeIsAnError {
 public:
  BrokenPipeIsAnError() {
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, &before_);
  }
  ~BrokenPipeIsAnError() {
    // One that came meanwhile is still pending, and would end the process as soon as it may.
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    const timespec at_once = {};
    if (sigismember(&before_, SIGPIPE) == 0) ::sigtimedwait(&pipe, nullptr, &at_once);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  BrokenPipeIsAnError(const BrokenPipeIsAnError&) = delete;
  BrokenPipeIsAnError& operator=(const BrokenPipeIsAnError&) = delete;

 private:
  sigset_t before_;
};

}  // namespace deepspeed::comm
