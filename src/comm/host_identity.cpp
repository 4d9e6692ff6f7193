// The kernel's number of this boot, the namespace of abstract sockets, and who may connect to them.
#include "comm/host_identity.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "core/environment.h"
#include "deepspeed/error.h"

namespace deepspeed::comm {

std::string host_identity() {
  if (!core::uses_shared_memory()) return "";
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  struct stat network {};
  if (boot.empty() || ::stat("/proc/self/ns/net", &network) != 0) return "";
  return concat(boot, "/", network.st_dev, ":", network.st_ino, "/", ::geteuid());
}

}  // namespace deepspeed::comm
