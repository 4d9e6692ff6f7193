// Fuzz target: any bytes give names of hosts, a bounded number of them, or a ValueError.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "deepspeed/error.h"
#include "hosts/name_range.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view word(reinterpret_cast<const char*>(data), size);
  try {
    const auto names = deepspeed::hosts::expand_name(word);
    if (names.empty() || names.size() > deepspeed::hosts::kMostHosts) std::abort();
    for (const auto& name : names) {
      if (name.empty() || name.front() == '-' || name.find_first_of("$`'\";&|<>*\\[] \t\n") != std::string::npos) {
        std::abort();
      }
    }
  } catch (const deepspeed::ValueError&) {
  }
  return 0;
}
