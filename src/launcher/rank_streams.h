// The ranks' outputs as lines: the pipes (or a terminal) that they write into, read and cut.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/descriptor.h"
#include "launcher/failure_report.h"
#include "launcher/line_sink.h"
#include "launcher/line_splitter.h"
#include "launcher/pseudo_terminal.h"
#include "launcher/watch.h"

namespace deepspeed::launcher {

/// What a new rank gets as standard output and standard error. Close them once it runs.
struct RankOutputs {
  core::Descriptor out;
  core::Descriptor err;  ///< empty: the same as `out`
  int stdout_fd() const { return out.get(); }
  int stderr_fd() const { return err ? err.get() : out.get(); }
};

/// Each rank writes into pipes of its own; a rank that the sink has a terminal for gets a terminal too, so that
/// progress bars draw themselves. Borrows the sink. One thread.
class RankStreams {
 public:
  explicit RankStreams(LineSink& sink) : sink_(sink) {}

  RankOutputs open_for(int rank);
  void add_watches(std::vector<Watch>& watches);
  /// Takes what the rank's pipes hold now, without waiting, whether or not the sink is full.
  void take_all_of(int rank);
  /// As above for all ranks, and ends unfinished lines: the ranks are gone.
  void finish();
  void resize();  ///< after SIGWINCH
  std::vector<std::string> last_lines(int rank) const;

 private:
  struct Stream {
    LineSource source;
    core::Descriptor fd;
    LineSplitter splitter = {};
    std::optional<TerminalModel> terminal_model = {};  // of a terminal, which `fd` then is
  };

  core::Descriptor open_stream(const LineSource& source);
  void read(Stream& stream, size_t most_bytes);
  void end(Stream& stream);
  void take(Stream& stream, const Line& line);

  LineSink& sink_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::map<int, LastLines> last_lines_;
};

}  // namespace deepspeed::launcher
