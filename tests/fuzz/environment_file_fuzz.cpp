// Fuzz target: any bytes give variables or a ValueError; names are such that setenv() takes them.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "deepspeed/error.h"
#include "launcher/exported_environment.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto variables = deepspeed::launcher::parse_environment_file(text, "fuzz");
    for (const auto& [name, value] : variables) {
      if (name.empty() || name.find('=') != std::string::npos || value.find('\0') != std::string::npos) std::abort();
    }
    deepspeed::launcher::describe_variables(variables);
  } catch (const deepspeed::ValueError&) {
  }
  return 0;
}
