// Fuzz target: any bytes give a Config or a ConfigError.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config/batch.h"
#include "config/config.h"
#include "config/effective.h"
#include "deepspeed/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    auto config = deepspeed::config::load_config(text, "fuzz");
    deepspeed::config::resolve_batch(config, 3);
    deepspeed::config::effective_config(config);
  } catch (const deepspeed::ConfigError&) {
  }
  return 0;
}
