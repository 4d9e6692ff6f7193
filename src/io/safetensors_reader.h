// Reads safetensors files: eight bytes of header length, a JSON header, the tensors' bytes. Nothing in the file is
// trusted; what does not hold is a CheckpointError that names file and tensor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/element_type.h"
#include "io/mapped_file.h"

namespace deepspeed::io {

/// One tensor: `bytes` bytes from byte `offset` of the file, row-major, little endian.
struct SafetensorsTensor {
  std::string key;
  ElementType type = ElementType::kFloat32;
  std::vector<int64_t> shape;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

struct SafetensorsHeader {
  uint64_t bytes = 0;  ///< length field and padding included: the first tensor starts here
  std::vector<SafetensorsTensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Longer headers are refused unread.
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;

inline constexpr uint64_t kSafetensorsLengthBytes = 8;

/// From the file's first bytes to the end of its header, the length field included. Checks only that.
uint64_t safetensors_header_bytes(std::string_view start, uint64_t file_bytes, const std::string& file_name);

/// The same checks as parse_safetensors() of a file of `file_bytes`, of which `text` is as much as
/// safetensors_header_bytes() says.
SafetensorsHeader parse_safetensors_header(std::string_view text, uint64_t file_bytes, const std::string& file_name);

/// Parses and checks a whole file's content: every tensor inside the file, its bytes those of shape and type, no
/// overlap, no hole, no byte left over. `file_name` is for messages.
SafetensorsHeader parse_safetensors(std::string_view file, const std::string& file_name);

/// A mapped file and its parsed header. Reading from any thread.
class SafetensorsReader {
 public:
  /// Throws IoError where the file cannot be read, CheckpointError where it is not a valid one.
  explicit SafetensorsReader(const std::filesystem::path& path);

  const SafetensorsHeader& header() const { return header_; }
  /// The tensor of that key, or nullptr.
  const SafetensorsTensor* find(const std::string& key) const;
  /// Its bytes, valid as long as the reader lives; aligned to nothing in files that others wrote.
  const std::byte* data(const SafetensorsTensor& tensor) const { return file_.data() + tensor.offset; }
  uint64_t file_bytes() const { return file_.bytes(); }
  /// CRC-32C of the length field and the header.
  uint32_t header_crc32c() const;

 private:
  MappedFile file_;
  SafetensorsHeader header_;
  std::unordered_map<std::string, size_t> index_of_;
};

}  // namespace deepspeed::io
