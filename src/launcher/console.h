// The launcher's own outputs: lines of all ranks, whole and marked with their rank.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "launcher/line_collapser.h"
#include "launcher/line_sink.h"
#include "launcher/output_merger.h"
#include "launcher/output_queue.h"
#include "launcher/watch.h"

namespace deepspeed::launcher {

/// [Note: Where output goes]
/// Each rank writes into pipes of its own, and lines come out whole on the output that they were meant for. Where our
/// output is a terminal, the live rank (the first) gets a terminal too, so that progress bars draw themselves; its
/// begun line stays last on the screen. Standard output and error share one merger where they are the same file. If
/// nobody reads our output any more, the ranks' pipes are closed, so that they see the same as they would alone. On
/// several hosts lines come over the connection to each host's agent instead, which holds back what we cannot take.
/// With --collapse_lines a line waits a moment for other ranks that say the same, and there is no live rank. One
/// thread; the process must live as long as it.
class Console final : public LineSink {
 public:
  Console(int stdout_fd, int stderr_fd, int live_rank);

  /// By global rank, before the first line; else there is one host, which is not named.
  void name_hosts(const std::vector<std::string>& host_of_rank);

  /// Shows what several of `num_ranks` say at about the same time once. Before the first line.
  void collapse(int num_ranks);

  void write(const LineSource& source, const Line& line) override;
  void show_begun(const LineSource& source, std::string_view text) override;
  bool is_full(int channel) const override { return output(channel).queue.is_full(); }
  bool is_broken(int channel) const override { return output(channel).queue.is_broken(); }
  std::optional<TerminalModel> terminal_for(const LineSource& source) const override;
  bool is_shared() const override { return !separate_err_; }

  void add_watches(std::vector<Watch>& watches);
  /// Lines that have waited long enough; when the next will have.
  void release_lines();
  std::optional<LineCollapser::Clock::time_point> wake_at() const;
  /// Ends unfinished lines: no rank will go on with them.
  void finish_lines();
  /// Our own text on standard error, on lines of its own.
  void say(const std::string& text);
  void flush();

 private:
  struct Output {
    OutputQueue queue;
    OutputMerger merger;
    bool is_terminal;
    Output(int fd, int live_rank);
  };
  Output& output(int channel) const { return channel == 1 && separate_err_ ? *separate_err_ : *out_; }

  int live_rank_;
  std::unique_ptr<Output> out_;
  std::unique_ptr<Output> separate_err_;  // empty where both are the same file
  std::optional<LineCollapser> collapser_;
};

}  // namespace deepspeed::launcher
