// What is said, once, about the rank that failed first. Pure.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "launcher/line_splitter.h"
#include "launcher/memory_events.h"

namespace deepspeed::launcher {

/// The last lines of a rank, each cut at a bounded length. A progress bar counts as one line, its last state.
class LastLines {
 public:
  static constexpr size_t kMostLines = 20;

  void add(const Line& line);
  std::vector<std::string> lines() const;

 private:
  std::deque<std::string> lines_;
  bool is_open_ = false;  // the last one has no newline yet
};

/// Facts about memory, to explain SIGKILL and SIGBUS.
struct MemoryFacts {
  std::optional<OomKills> before;
  std::optional<OomKills> after;
  int64_t shared_memory_bytes = 0;
};

struct Failure {
  int rank = 0;
  int local_rank = 0;
  int world_size = 1;
  std::string host;
  pid_t pid = 0;
  std::vector<std::string> command;
  int wait_status = 0;                  ///< as waitpid() gives it
  std::string ended_by = {};            ///< the same in words: describe_exit()
  std::vector<std::string> lines = {};  ///< its last ones; empty where they went to the console directly
  std::string log_file = {};            ///< empty: no log file
  bool is_on_console = false;           ///< output went straight to the console, so there are no lines to repeat
};

/// The exit code of a shell: the process's own, or 128 + the signal that ended it.
int exit_code_of(int wait_status);

/// "exit code 3", or the signal with its meaning and the most likely cause.
std::string describe_exit(int wait_status, const MemoryFacts& memory);

/// A command as one would type it: words with blanks or special characters in quotes.
std::string quoted(const std::vector<std::string>& command);

/// The block, several lines with a newline at the end.
std::string describe_failure(const Failure& failure);

}  // namespace deepspeed::launcher
