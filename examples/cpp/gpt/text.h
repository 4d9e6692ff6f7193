// A text file as training data: random windows of bytes.
#pragma once

#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

/// B rows of T bytes, and for each byte the one that follows it; int64.
struct Batch {
  at::Tensor data;    ///< [B, T]
  at::Tensor target;  ///< [B, T]
};

/// Window number n of a text is always the same, whoever asks: so ranks draw different windows without talking to each
/// other, a run that resumes goes on where it stopped, and two ranks with 8 rows see what one rank with 16 sees.
class TextWindows {
 public:
  /// Throws std::runtime_error where the file cannot be read or is shorter than one window of `context` + 1 bytes.
  TextWindows(const std::string& path, int64_t context, uint64_t seed);

  /// Windows first, first + 1, ... first + rows - 1.
  Batch batch(int64_t first, int64_t rows) const;

  int64_t num_bytes() const { return static_cast<int64_t>(text_.size()); }

 private:
  std::string text_;
  int64_t context_;
  uint64_t seed_;
};

/// [1, T] int64, one token a byte; and back, with `?` for control characters.
at::Tensor to_tokens(const std::string& text);
std::string to_text(const at::Tensor& tokens_1T);
