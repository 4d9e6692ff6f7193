// Equal lines of several ranks as one, for --collapse_lines. Pure: time is an argument.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "launcher/line_sink.h"

namespace deepspeed::launcher {

/// Keeps a line back until all ranks have said it, or for kWindow after its first. Each rank's own lines stay in their
/// order; those of different ranks may change places within the window. One thread.
class LineCollapser {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kWindow{250};
  static constexpr size_t kMostLines = 1000;  ///< kept back at once
  /// `ranks` are those that said the line, ascending.
  using Sink = std::function<void(const std::vector<int>& ranks, int channel, std::string_view text)>;

  LineCollapser(int num_ranks, Sink sink) : num_ranks_(static_cast<size_t>(num_ranks)), sink_(std::move(sink)) {}

  /// A whole line, without its newline.
  void add(const LineSource& source, std::string_view text, Clock::time_point now);
  void release_due(Clock::time_point now);
  void release_all();
  /// When release_due() has something to do; nothing while no line is kept back.
  std::optional<Clock::time_point> due_at() const;

 private:
  struct Entry {
    int channel = 0;
    std::string text;
    std::vector<int> ranks;
    Clock::time_point since;
  };

  Entry* find_open(const LineSource& source, std::string_view text);
  void release_front();

  size_t num_ranks_;
  Sink sink_;
  std::deque<Entry> entries_;
  int64_t num_released_ = 0;
  // By rank and channel: the place, counted from the first line ever, behind the last line that it said. A line of this
  // rank goes there or later.
  std::map<std::pair<int, int>, int64_t> next_place_;
};

}  // namespace deepspeed::launcher
