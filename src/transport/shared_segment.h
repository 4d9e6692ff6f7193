// Memory that processes of one host share: an anonymous file (memfd), handed to others as a descriptor. It has no name,
// does not count against /dev/shm, and is gone when the last process that maps it is.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/descriptor.h"

namespace deepspeed::transport {

class SharedSegment {
 public:
  SharedSegment() = default;

  /// Zeroed and backed by memory at once, so that a full host is an error here and not a signal later; it can neither
  /// shrink nor grow. Throws IoError.
  static SharedSegment create(int64_t bytes);

  /// Another process's, of at least `bytes` bytes. Throws IoError, or CommError where it is smaller.
  static SharedSegment map(core::Descriptor file, int64_t bytes);

  SharedSegment(SharedSegment&& other) noexcept;
  SharedSegment& operator=(SharedSegment&& other) noexcept;
  ~SharedSegment();

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }
  /// -1 once it was closed; the mapping stays.
  int descriptor() const { return file_.get(); }
  void close_descriptor() { file_.reset(); }

 private:
  SharedSegment(core::Descriptor file, int64_t bytes);

  core::Descriptor file_;
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace deepspeed::transport
