// One descriptor in the launcher's event loop and what to do when it is ready.
#pragma once

#include <functional>

namespace deepspeed::launcher {

struct Watch {
  int fd = -1;
  short events = 0;             ///< as in poll()
  std::function<void()> ready;  ///< called when any of them, an error or a hang-up is there
};

}  // namespace deepspeed::launcher
