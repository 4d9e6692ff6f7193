// Cuts a byte stream into lines. Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace deepspeed::launcher {

enum class LineEnd {
  kNewline,  ///< "\n" or "\r\n"
  kReturn,   ///< "\r": a progress bar that draws itself anew
  kNone,     ///< cut because it is long, or the end of the stream
};

struct Line {
  std::string_view text;  ///< without its end; valid during the callback
  LineEnd end = LineEnd::kNewline;
};

/// Text without an end is kept until it comes, but for at most kLongestLineBytes; a longer line comes in pieces that
/// never cut a UTF-8 character. A lone "\r" at the front of a line gives no line.
class LineSplitter {
 public:
  using Consumer = std::function<void(const Line&)>;
  static constexpr size_t kLongestLineBytes = size_t{64} << 10;

  void feed(std::string_view bytes, const Consumer& consume);
  /// The stream has ended: gives what is left, if anything.
  void finish(const Consumer& consume);
  /// The begun line, without a "\r" that may belong to "\r\n".
  std::string_view begun() const;

 private:
  void take_lines(const Consumer& consume);

  std::string buffer_;
};

}  // namespace deepspeed::launcher
