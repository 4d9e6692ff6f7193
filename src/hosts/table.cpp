// Padding and rounding.
#include "hosts/table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "deepspeed/error.h"

namespace deepspeed::hosts {
namespace {

size_t width_of(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

std::string aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += row[i] + std::string(widths[i] - width_of(row[i]) + 2, ' ');
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string counted(size_t count, const std::string& noun) { return concat(count, " ", noun, count == 1 ? "" : "s"); }

std::string kinds_in_words(const std::vector<std::string>& words) {
  std::vector<std::string> kinds;
  for (const std::string& word : words) {
    if (std::find(kinds.begin(), kinds.end(), word) == kinds.end()) kinds.push_back(word);
  }
  std::string text;
  for (const std::string& kind : kinds) {
    text += concat(text.empty() ? "" : ", ", std::count(words.begin(), words.end(), kind), " x ", kind);
  }
  return text.empty() ? "none" : text;
}

std::string on_one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7F; }, ' ');
  return text;
}

std::string bytes_in_words(double bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KB", "MB", "GB", "TB"};
  size_t unit = 0;
  while (std::abs(bytes) >= 999.5 && unit + 1 < kUnits.size()) {
    bytes /= 1000;
    ++unit;
  }
  return rounded(bytes) + " " + kUnits[unit];
}

std::string rounded(double value) {
  if (value == 0 || !std::isfinite(value)) return concat(value);
  const int decimals = std::clamp(2 - static_cast<int>(std::floor(std::log10(std::abs(value)))), 0, 9);
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  std::string result = text.data();
  if (result.find('.') != std::string::npos) {
    result.erase(result.find_last_not_of('0') + 1);
    if (result.back() == '.') result.pop_back();
  }
  return result;
}

}  // namespace deepspeed::hosts
