// One command on each of many hosts, all at once up to a bound, each with a deadline.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "launcher/line_splitter.h"

namespace deepspeed::hosts {

struct RemoteJob {
  std::vector<std::string> command;  ///< ssh and its words
  std::string input = {};            ///< all of its standard input
};

struct RemoteResult {
  int exit_code = 0;  ///< the command's, 255 where ssh itself failed; -1: it was ended at its deadline
  bool timed_out = false;
  std::vector<std::string> lines = {};        ///< of standard output, at most kMostKeptLines
  std::vector<std::string> error_lines = {};  ///< of standard error, the last 20
};

struct FanOutOptions {
  int at_once = 64;
  std::chrono::milliseconds patience{0};  ///< for each job, from its own start; 0: without end
  bool keeps_lines = true;                ///< in the result; false where `consume` is all that wants them
};

inline constexpr size_t kMostKeptLines = 10'000;

/// Called for each line as it comes, from the calling thread.
using LineConsumer = std::function<void(size_t job, bool is_error, const launcher::Line& line)>;

/// The results in the order of the jobs, when all are over. Throws IoError where ssh cannot be started.
std::vector<RemoteResult> run_jobs(const std::vector<RemoteJob>& jobs, const FanOutOptions& options,
                                   const LineConsumer& consume = {});

}  // namespace deepspeed::hosts
