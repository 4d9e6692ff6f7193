// RLIMIT_NOFILE.
#include "hosts/open_files.h"

#include <sys/resource.h>

namespace deepspeed::hosts {
namespace {

rlimit bounds() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  return files;
}

}  // namespace

void allow_many_open_files() {
  first_max_open_files();  // is asked for here at the latest
  rlimit files = bounds();
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

unsigned long max_open_files() { return bounds().rlim_cur; }

unsigned long first_max_open_files() {
  static const unsigned long first = bounds().rlim_cur;
  return first;
}

}  // namespace deepspeed::hosts
