// A whole file, read-only in memory. Pages are read when they are touched.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

namespace deepspeed::io {

/// Owns the mapping; movable. The file must not be shortened while it is mapped. Reading from any thread.
class MappedFile {
 public:
  /// Throws IoError with path and errno.
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), bytes_}; }

 private:
  const std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace deepspeed::io
