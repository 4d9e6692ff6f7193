// Cutting lines.
#include "launcher/line_splitter.h"

namespace deepspeed::launcher {
namespace {

// Where to cut `text` at or before `limit`, so that no UTF-8 character is cut.
size_t whole_characters(std::string_view text, size_t limit) {
  const auto continues = [&](size_t i) { return (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80; };
  size_t cut = limit;
  for (int step = 0; step < 3 && cut < text.size() && cut > 0 && continues(cut); ++step) --cut;
  return cut < text.size() && continues(cut) ? limit : cut;  // not UTF-8 at all: cut anywhere
}

}  // namespace

void LineSplitter::feed(std::string_view bytes, const Consumer& consume) {
  buffer_.append(bytes);
  take_lines(consume);
}

void LineSplitter::take_lines(const Consumer& consume) {
  const std::string_view all = buffer_;
  size_t begin = 0;
  while (true) {
    const size_t end = all.find_first_of("\r\n", begin);
    if (end == std::string_view::npos) break;
    const bool is_return = all[end] == '\r';
    if (is_return && end + 1 == all.size()) break;  // the next byte may be its newline
    const bool is_pair = is_return && all[end + 1] == '\n';
    if (!is_return || is_pair) {
      consume({all.substr(begin, end - begin), LineEnd::kNewline});
    } else if (end > begin) {
      consume({all.substr(begin, end - begin), LineEnd::kReturn});
    }
    begin = end + (is_pair ? 2 : 1);
  }
  while (all.size() - begin > kLongestLineBytes) {
    const size_t bytes = whole_characters(all.substr(begin), kLongestLineBytes);
    consume({all.substr(begin, bytes), LineEnd::kNone});
    begin += bytes;
  }
  buffer_.erase(0, begin);
}

void LineSplitter::finish(const Consumer& consume) {
  const bool ends_in_return = !buffer_.empty() && buffer_.back() == '\r';
  const auto rest = begun();
  if (!rest.empty()) consume({rest, ends_in_return ? LineEnd::kReturn : LineEnd::kNone});
  buffer_.clear();
}

std::string_view LineSplitter::begun() const {
  std::string_view text = buffer_;
  if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
  return text;
}

}  // namespace deepspeed::launcher
