// Reading the file and cutting windows.
#include "text.h"

#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>

#include <ATen/ops/empty.h>

TextWindows::TextWindows(const std::string& path, int64_t context, uint64_t seed) : context_(context), seed_(seed) {
  std::ifstream file(path, std::ios::binary);
  text_.assign(std::istreambuf_iterator<char>(file), {});
  if (!file) throw std::runtime_error("cannot read the text file " + path);
  if (num_bytes() <= context) {
    throw std::runtime_error(path + " has " + std::to_string(num_bytes()) + " bytes; at least " +
                             std::to_string(context + 1) + " are needed");
  }
}

Batch TextWindows::batch(int64_t first, int64_t rows) const {
  at::Tensor windows = at::empty({rows, context_ + 1}, at::kLong);  // one more, for the last target
  int64_t* token = windows.data_ptr<int64_t>();
  for (int64_t row = 0; row < rows; ++row) {
    std::mt19937_64 random(seed_ + static_cast<uint64_t>(first + row));
    const int64_t begin = std::uniform_int_distribution<int64_t>(0, num_bytes() - context_ - 1)(random);
    for (int64_t i = 0; i <= context_; ++i) *token++ = static_cast<unsigned char>(text_[begin + i]);
  }
  return {.data = windows.narrow(1, 0, context_), .target = windows.narrow(1, 1, context_)};
}

at::Tensor to_tokens(const std::string& text) {
  at::Tensor tokens = at::empty({1, static_cast<int64_t>(text.size())}, at::kLong);
  for (size_t i = 0; i < text.size(); ++i) tokens.data_ptr<int64_t>()[i] = static_cast<unsigned char>(text[i]);
  return tokens;
}

std::string to_text(const at::Tensor& tokens_1T) {
  std::string text;
  for (int64_t i = 0; i < tokens_1T.numel(); ++i) {
    const char byte = static_cast<char>(tokens_1T.const_data_ptr<int64_t>()[i]);
    text += byte >= 0 && byte < ' ' && byte != '\n' && byte != '\t' ? '?' : byte;
  }
  return text;
}
