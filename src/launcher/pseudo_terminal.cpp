// Opening /dev/ptmx in raw output mode.
#include "launcher/pseudo_terminal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <algorithm>
#include <cerrno>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

constexpr int kFewestColumns = 20;

}  // namespace

void copy_terminal_size(int model_fd, int margin_columns, int our_end) {
  winsize size{};
  if (::ioctl(model_fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return;
  size.ws_col = static_cast<unsigned short>(std::max(kFewestColumns, size.ws_col - margin_columns));
  ::ioctl(our_end, TIOCSWINSZ, &size);
}

PseudoTerminal open_pseudo_terminal() {
  PseudoTerminal terminal;
  terminal.our_end = core::Descriptor(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  char name[128] = "";
  const bool is_open = terminal.our_end && ::grantpt(terminal.our_end.get()) == 0 &&
                       ::unlockpt(terminal.our_end.get()) == 0 &&
                       ::ptsname_r(terminal.our_end.get(), name, sizeof(name)) == 0;
  if (is_open) terminal.rank_end = core::Descriptor(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.rank_end) throw IoError("[launcher] opening a pseudo-terminal", "/dev/ptmx", errno);

  termios mode{};
  ::tcgetattr(terminal.rank_end.get(), &mode);
  mode.c_oflag &= ~static_cast<tcflag_t>(OPOST);  // the real terminal turns newlines into returns; once is enough
  mode.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ::tcsetattr(terminal.rank_end.get(), TCSANOW, &mode);
  return terminal;
}

}  // namespace deepspeed::launcher
