// Fuzz target: any bytes either parse as a safetensors file or raise CheckpointError; a parsed tensor lies inside.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "deepspeed/error.h"
#include "io/safetensors_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  try {
    for (const auto& tensor : deepspeed::io::parse_safetensors(file, "fuzz").tensors) {
      if (tensor.offset > size || tensor.bytes > size - tensor.offset) std::abort();
    }
  } catch (const deepspeed::CheckpointError&) {
  }
  return 0;
}
