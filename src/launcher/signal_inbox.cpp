// signalfd.
#include "launcher/signal_inbox.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

bool is_ignored(int signal) {
  struct sigaction action {};
  ::sigaction(signal, nullptr, &action);
  return action.sa_handler == SIG_IGN;
}

}  // namespace

SignalInbox::SignalInbox(const std::vector<int>& signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) {
    if (signal == SIGCHLD || !is_ignored(signal)) sigaddset(&set, signal);
  }
  std::signal(SIGCHLD, SIG_DFL);  // an inherited "ignore" would let children vanish without a status
  ::sigprocmask(SIG_BLOCK, &set, &old_mask_);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &old_pipe_action_);
  descriptor_ = core::Descriptor(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!descriptor_) throw IoError("[launcher] signalfd", "signalfd", errno);
}

SignalInbox::~SignalInbox() {
  ::sigaction(SIGPIPE, &old_pipe_action_, nullptr);
  ::sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
}

std::optional<ReceivedSignal> SignalInbox::next() {
  signalfd_siginfo info{};
  const ssize_t count = ::read(descriptor_.get(), &info, sizeof(info));
  if (count != sizeof(info)) return std::nullopt;
  return ReceivedSignal{static_cast<int>(info.ssi_signo), info.ssi_code == SI_KERNEL};
}

}  // namespace deepspeed::launcher
