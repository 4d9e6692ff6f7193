// Fuzz target: any bytes give hosts or a ValueError. What stands before the first zero byte is a hostfile, what follows
// a filter of its hosts, tried as include and as exclude.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "deepspeed/error.h"
#include "launcher/hostfile.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(all.find('\0'), all.size());
  const std::string filter(all.substr(std::min(end + 1, all.size())));
  for (const bool excludes : {false, true}) {
    try {
      const auto hosts = deepspeed::launcher::parse_hostfile(all.substr(0, end), "fuzz");
      for (const auto& host : hosts) {
        if (host.name.front() == '-' || host.name.find_first_of("$`'\";&|<> \t\n") != std::string::npos) std::abort();
      }
      deepspeed::launcher::select_hosts(hosts, {filter, "--include", excludes});
    } catch (const deepspeed::ValueError&) {
    }
  }
  return 0;
}
