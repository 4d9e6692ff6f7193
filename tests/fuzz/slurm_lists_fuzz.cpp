// Fuzz target: any bytes as a node list give hosts that are safe to name, as counts give numbers, or a ValueError.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "deepspeed/error.h"
#include "launcher/slurm_lists.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    for (const std::string& host : deepspeed::launcher::expand_node_list(text, "fuzz")) {
      if (host.empty() || host.front() == '-' || host.find_first_of("$`'\";&|<>/ \t\n") != std::string::npos)
        std::abort();
    }
  } catch (const deepspeed::ValueError&) {
  }
  try {
    for (const int count : deepspeed::launcher::expand_counts(text, "fuzz")) {
      if (count < 0) std::abort();
    }
  } catch (const deepspeed::ValueError&) {
  }
  return 0;
}
