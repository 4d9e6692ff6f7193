// Several ranks' lines on one output: each line whole and marked with its rank. Pure, but for its sink.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "launcher/line_sink.h"
#include "launcher/line_splitter.h"

namespace deepspeed::launcher {

/// On a file or pipe every line, and every update of a progress bar, is written once it is whole, with its own end; a
/// source that comes after another's unfinished text starts on a new line. On a terminal the bar of one rank, the live
/// one, stays at the bottom: it is taken away and drawn again when another rank prints a line; bars of other ranks
/// show when they end.
class OutputMerger {
 public:
  struct Options {
    bool is_terminal = false;
    bool with_colour = false;                    ///< colours the prefix
    int live_rank = 0;                           ///< on a terminal: whose begun line is shown at once
    std::vector<std::string> host_of_rank = {};  ///< by global rank; empty: one host, not named
  };
  using Sink = std::function<void(std::string_view)>;

  OutputMerger(Options options, Sink sink) : options_(std::move(options)), sink_(std::move(sink)) {}

  /// Instead of what the options say, before the first line.
  void name_hosts(std::vector<std::string> host_of_rank) { options_.host_of_rank = std::move(host_of_rank); }
  void write(const LineSource& source, const Line& line);
  /// One line that these ranks, ascending, have said.
  void write_shared(const std::vector<int>& ranks, int channel, std::string_view text);
  /// Shows the live rank's begun line; nothing happens for others, or where the output is no terminal.
  void show_begun(const LineSource& source, std::string_view text);
  /// Ends text that has no newline yet, so that what follows starts on a line of its own.
  void finish();

  /// "[rank N] ", or "[HOST:N] " where there are several hosts; without colour.
  std::string prefix(int rank) const;
  /// "[ranks 0-2,5] ", or "[HOST:0-1 OTHER:2,5] ".
  std::string prefix(const std::vector<int>& ranks) const;

 private:
  std::string marked(int rank, std::string_view text) const { return marked(rank, prefix(rank), text); }
  std::string marked(int rank, const std::string& prefix, std::string_view text) const;
  void write_to_file(const LineSource& source, const std::string& prefix, const Line& line);
  void write_to_terminal(const LineSource& source, const std::string& prefix, const Line& line);
  bool is_after_other(const LineSource& source) const { return open_ && !(*open_ == source); }

  Options options_;
  Sink sink_;
  std::optional<LineSource> open_;  // whose text stands at the cursor without a newline
  bool is_continued_ = false;       // that text was cut and goes on
  std::string shown_;               // terminal: the live rank's begun line, as it stands there
  LineSource shown_source_;
};

}  // namespace deepspeed::launcher
