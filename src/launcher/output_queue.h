// Bytes on their way to one of the launcher's own outputs, so that a slow reader of it never blocks the launcher.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "core/descriptor.h"

namespace deepspeed::launcher {

/// Borrows the descriptor and leaves its flags alone, since a shell may share it; a terminal is opened again. After a
/// write error (the reader went away) it is broken and drops what it is given.
class OutputQueue {
 public:
  static constexpr size_t kFullBytes = 1 << 20;

  explicit OutputQueue(int fd);
  int fd() const { return fd_; }
  bool is_empty() const { return begin_ == pending_.size(); }
  bool is_full() const { return pending_.size() - begin_ >= kFullBytes; }  ///< callers stop reading their sources
  bool is_broken() const { return is_broken_; }

  void push(std::string_view bytes);
  /// One write of at most what a pipe that poll() calls writable takes at once.
  void write_some();
  /// Writes all that is left, waiting for the reader.
  void flush();

 private:
  core::Descriptor terminal_;  // empty: no terminal
  int fd_;
  std::string pending_;
  size_t begin_ = 0;
  bool is_broken_ = false;
};

}  // namespace deepspeed::launcher
