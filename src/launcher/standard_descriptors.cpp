#include "launcher/standard_descriptors.h"

#include <fcntl.h>
#include <unistd.h>

namespace deepspeed::launcher {

void open_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0) (void)!::open("/dev/null", O_RDWR);  // gives the lowest number that is free: this one
  }
}

}  // namespace deepspeed::launcher
