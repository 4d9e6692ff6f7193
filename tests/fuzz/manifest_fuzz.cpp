// Fuzz target: any text either parses as a manifest or raises CheckpointError. The checksum is made to fit first, so
// that what lies behind it is reached.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "checkpoint/manifest.h"
#include "deepspeed/error.h"
#include "io/crc32c.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  char first_line[32];
  std::snprintf(first_line, sizeof(first_line), "{\"crc32c\":\"%08x\",\n", deepspeed::io::crc32c(data, size));
  try {
    deepspeed::checkpoint::parse_manifest(first_line + std::string(reinterpret_cast<const char*>(data), size), "fuzz");
  } catch (const deepspeed::CheckpointError&) {
  }
  return 0;
}
