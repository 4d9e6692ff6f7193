// getrlimit and setrlimit.
#include "launcher/open_files.h"

namespace deepspeed::launcher {
namespace {

rlimit read_limits() {
  rlimit limits{};
  ::getrlimit(RLIMIT_NOFILE, &limits);
  return limits;
}

}  // namespace

rlimit original_open_files() {
  static const rlimit at_start = read_limits();
  return at_start;
}

void raise_open_files() {
  rlimit limits = original_open_files();
  limits.rlim_cur = limits.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limits);
}

void restore_open_files() {
  const rlimit limits = original_open_files();
  ::setrlimit(RLIMIT_NOFILE, &limits);
}

}  // namespace deepspeed::launcher
