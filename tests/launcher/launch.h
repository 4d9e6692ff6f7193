// A running `deepspeed` program under test.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/descriptor.h"

namespace deepspeed::launcher {

struct LaunchSetup {
  std::vector<std::string> environment =
      {};                    ///< NAME=value, on top of the test's own; DS_ACCELERATOR=cpu is always set
  bool on_terminal = false;  ///< both outputs are one terminal, 60 columns wide
  bool with_stdin = false;   ///< a pipe, open until close_stdin(); else /dev/null
};

/// Whatever it does not get in 30 seconds is a std::runtime_error, and the launch is killed.
class Launch {
 public:
  explicit Launch(const std::vector<std::string>& arguments, const LaunchSetup& setup = {});
  ~Launch();
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;

  pid_t pid() const { return pid_; }
  /// Reads until standard output holds `text` `count` times.
  void read_until(const std::string& text, int count = 1);
  /// Reads to the end and waits. Returns the exit code, 128 + signal where one ended it.
  int wait();
  void close_stdin() { stdin_.reset(); }
  /// As a reader that goes away, or a terminal.
  void stop_reading() {
    stdout_.reset();
    stderr_.reset();
  }

  const std::string& out() const { return out_; }
  const std::string& err() const { return err_; }
  /// The word after `label` in standard output, as a number.
  pid_t number_after(const std::string& label) const;

 private:
  bool read_some();  // false at the end of both

  pid_t pid_ = -1;
  bool is_reaped_ = false;
  core::Descriptor stdin_, stdout_, stderr_;
  std::string out_, err_;
};

/// Number of times that `part` stands in `text`.
int occurrences(const std::string& text, const std::string& part);

}  // namespace deepspeed::launcher
