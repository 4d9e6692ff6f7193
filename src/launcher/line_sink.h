// Where the lines of ranks go: the user's outputs, or the launcher on another host.
#pragma once

#include <optional>
#include <string_view>

#include "launcher/line_splitter.h"

namespace deepspeed::launcher {

/// Where a line comes from: a rank's standard output (channel 0) and standard error (1) are two sources.
struct LineSource {
  int rank = 0;
  int channel = 0;

  bool operator==(const LineSource&) const = default;
};

/// A terminal that a rank's output should be like.
struct TerminalModel {
  int fd = -1;
  int margin_columns = 0;  ///< what we put before each line
};

/// One thread. Neither function waits.
class LineSink {
 public:
  virtual ~LineSink() = default;
  virtual void write(const LineSource& source, const Line& line) = 0;
  /// The line that this source has begun, for sinks that show such.
  virtual void show_begun(const LineSource& source, std::string_view text) = 0;
  /// Callers stop reading their sources until it is not.
  virtual bool is_full(int channel) const = 0;
  /// Nobody will read any more: callers close their sources, so that ranks see what they would see alone.
  virtual bool is_broken(int channel) const = 0;
  /// Nothing: a pipe will do.
  virtual std::optional<TerminalModel> terminal_for(const LineSource& source) const = 0;
  /// Both channels go to the same file.
  virtual bool is_shared() const = 0;
};

}  // namespace deepspeed::launcher
