// Fuzz target: any text either parses as a manifest or raises CheckpointError, and so does the check that every element
// was written. The checksum is made to fit first, so that what lies behind it is reached.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "checkpoint/box.h"
#include "checkpoint/manifest.h"
#include "deepspeed/error.h"
#include "io/crc32c.h"

namespace {

// The check's time grows with the rows that a stated shape has: a large one is slow, which is no finding.
bool is_small(const deepspeed::checkpoint::Manifest& manifest) {
  return std::all_of(manifest.entries.begin(), manifest.entries.end(), [](const auto& entry) {
    return deepspeed::checkpoint::numel(deepspeed::checkpoint::whole_box(entry.global_shape)) <= 4096;
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  char first_line[32];
  std::snprintf(first_line, sizeof(first_line), "{\"crc32c\":\"%08x\",\n", deepspeed::io::crc32c(data, size));
  try {
    const std::string text = first_line + std::string(reinterpret_cast<const char*>(data), size);
    const auto manifest = deepspeed::checkpoint::parse_manifest(text, "fuzz");
    if (is_small(manifest)) deepspeed::checkpoint::check_coverage(manifest, "fuzz");
  } catch (const deepspeed::CheckpointError&) {
  }
  return 0;
}
