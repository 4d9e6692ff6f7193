// Writes a safetensors file tensor by tensor, without a copy of the data, under a temporary name until it is whole.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "io/element_type.h"

namespace deepspeed::io {

/// What a file will hold under `key`.
struct TensorDeclaration {
  std::string key;
  ElementType type = ElementType::kFloat32;
  std::vector<int64_t> shape;
};

/// Tensors are laid out by falling element size, so each is aligned to its element, and may be written in any order.
/// One thread at a time. Without commit() the destructor removes the temporary file, unless in a forked child.
class SafetensorsWriter {
 public:
  /// Creates the temporary file beside `path` and writes the header. Throws ValueError for a repeated or reserved key
  /// or an impossible shape, IoError where writing fails.
  SafetensorsWriter(std::filesystem::path path, std::vector<TensorDeclaration> tensors,
                    const std::map<std::string, std::string>& metadata = {{"format", "pt"}});
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;
  ~SafetensorsWriter();

  /// Writes the whole tensor of declaration `index` from `data` and returns its CRC-32C, computed in the same pass.
  /// Throws IoError (a full disk included).
  uint32_t write(size_t index, const void* data);

  /// All tensors must be written. fsync, rename to the final name, fsync of the folder. Throws IoError.
  void commit();

  uint64_t file_bytes() const { return file_bytes_; }
  /// CRC-32C of the length field and the header.
  uint32_t header_crc32c() const { return header_crc32c_; }

 private:
  void write_bytes(const char* data, uint64_t bytes, uint64_t offset);
  void lay_out();

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  std::vector<TensorDeclaration> tensors_;
  std::vector<uint64_t> offsets_;  // in the data part until the header is written, then in the file
  std::vector<uint64_t> bytes_;
  std::vector<bool> written_;
  uint64_t file_bytes_ = 0;
  uint32_t header_crc32c_ = 0;
  int fd_ = -1;
  pid_t owner_ = 0;
};

}  // namespace deepspeed::io
