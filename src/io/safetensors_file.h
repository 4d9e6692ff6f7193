// A safetensors file that is read piece by piece. Nothing is mapped: bytes that were read do not stay in the process's
// memory, and a file that somebody shortens meanwhile is an error instead of a SIGBUS.
#pragma once

#include <cstdint>
#include <filesystem>

#include "io/safetensors_reader.h"

namespace deepspeed::io {

/// Owns the open file and its parsed header. Reading from any thread.
class SafetensorsFile {
 public:
  /// Reads the header only. Throws IoError where the file cannot be read, CheckpointError where it is not a valid one.
  explicit SafetensorsFile(const std::filesystem::path& path);
  SafetensorsFile(SafetensorsFile&& other) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&& other) noexcept;
  ~SafetensorsFile();

  const std::filesystem::path& path() const { return path_; }
  const SafetensorsHeader& header() const { return header_; }
  uint64_t bytes() const { return bytes_; }

  /// Bytes [offset, offset + bytes) of the file. Throws IoError, or CheckpointError where the file ends before.
  void read(uint64_t offset, void* out, uint64_t bytes) const;

 private:
  void open();

  std::filesystem::path path_;
  int fd_ = -1;
  uint64_t bytes_ = 0;
  SafetensorsHeader header_;
};

}  // namespace deepspeed::io
