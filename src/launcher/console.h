// The ranks' output on its way to the launcher's own: pipes (or a terminal) to read, lines, prefixes, queues to write.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/descriptor.h"
#include "launcher/failure_report.h"
#include "launcher/line_splitter.h"
#include "launcher/output_merger.h"
#include "launcher/output_queue.h"
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

/// [Note: Where output goes]
/// Each rank writes into pipes of its own, and lines come out whole on the output that they were meant for. Where our
/// output is a terminal, the live rank (the first) gets a terminal too, so that progress bars draw themselves; its
/// begun line stays last on the screen. Standard output and error share one merger where they are the same file. If
/// nobody reads our output any more, the ranks' pipes are closed, so that they see the same as they would alone. One
/// thread; the process must live as long as it.
class Console {
 public:
  Console(int stdout_fd, int stderr_fd, int live_rank);

  RankOutputs open_for(int rank);
  void add_watches(std::vector<Watch>& watches);
  /// Takes what the pipes hold now, without waiting, and ends unfinished lines: the ranks are gone.
  void drain();
  /// Our own text on standard error, on lines of its own.
  void say(const std::string& text);
  void flush();
  void resize();  ///< after SIGWINCH
  std::vector<std::string> last_lines(int rank) const;

 private:
  struct Output {
    OutputQueue queue;
    OutputMerger merger;
    bool is_terminal;
    Output(int fd, int live_rank);
  };
  struct Stream {
    LineSource source;
    core::Descriptor fd;
    Output* output;
    LineSplitter splitter;
  };

  core::Descriptor open_stream(const LineSource& source, Output& output);
  void read(Stream& stream, size_t most_bytes);
  void end(Stream& stream);
  void take(Stream& stream, const Line& line);

  int live_rank_;
  std::unique_ptr<Output> out_;
  std::unique_ptr<Output> separate_err_;  // empty where both are the same file
  Output* err_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<std::pair<PseudoTerminal, Output*>> terminals_;
  std::map<int, LastLines> last_lines_;
};

}  // namespace deepspeed::launcher
