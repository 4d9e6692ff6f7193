// Several ranks' lines on one output: each line whole and marked with its rank. Pure, but for its sink.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "launcher/line_splitter.h"

namespace deepspeed::launcher {

/// Where a line comes from: a rank's standard output and standard error are two sources.
struct LineSource {
  int rank = 0;
  int channel = 0;

  bool operator==(const LineSource&) const = default;
};

/// On a file or pipe every line, and every update of a progress bar, is written once it is whole, with its own end; a
/// source that comes after another's unfinished text starts on a new line. On a terminal the bar of one rank, the live
/// one, stays at the bottom: it is taken away and drawn again when another rank prints a line; bars of other ranks
/// show when they end.
class OutputMerger {
 public:
  struct Options {
    bool is_terminal = false;
    bool with_colour = false;  ///< colours the prefix
    int live_rank = 0;         ///< on a terminal: whose begun line is shown at once
  };
  using Sink = std::function<void(std::string_view)>;

  OutputMerger(Options options, Sink sink) : options_(options), sink_(std::move(sink)) {}

  void write(const LineSource& source, const Line& line);
  /// Shows the live rank's begun line; nothing happens for others, or where the output is no terminal.
  void show_begun(const LineSource& source, std::string_view text);
  /// Ends text that has no newline yet, so that what follows starts on a line of its own.
  void finish();

  /// "[rank N] ", without colour.
  static std::string prefix(int rank);

 private:
  std::string marked(int rank, std::string_view text) const;
  void write_to_file(const LineSource& source, const Line& line);
  void write_to_terminal(const LineSource& source, const Line& line);
  bool is_after_other(const LineSource& source) const { return open_ && !(*open_ == source); }

  Options options_;
  Sink sink_;
  std::optional<LineSource> open_;  // whose text stands at the cursor without a newline
  bool is_continued_ = false;       // that text was cut and goes on
  std::string shown_;               // terminal: the live rank's begun line, as it stands there
  LineSource shown_source_;
};

}  // namespace deepspeed::launcher
