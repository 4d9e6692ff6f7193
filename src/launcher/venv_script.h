// --venv_script: a script that a bash sources before ranks start, and the environment that it leaves.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/descriptor.h"
#include "launcher/watch.h"

namespace deepspeed::launcher {

/// One bash, done when it ends: what the script leaves in the background may go on. No word of the user's reaches it
/// but as an argument. What the script prints goes to standard error. One thread, the main one.
class VenvScript {
 public:
  /// Starts it in the current folder. `host_name` is for messages. Throws ValueError where there is no such file, or no
  /// bash.
  VenvScript(const std::string& path, std::string host_name);
  ~VenvScript();
  VenvScript(const VenvScript&) = delete;
  VenvScript& operator=(const VenvScript&) = delete;

  bool is_done() const { return !output_; }
  void add_watches(std::vector<Watch>& watches);

  /// Once it is done: this process's environment becomes what the script has made of it. Returns where the interpreter
  /// of the virtual environment is that it has activated (VIRTUAL_ENV, CONDA_PREFIX); empty where it has activated
  /// none. Throws ValueError, with host, path and exit code, where the script has failed.
  std::vector<std::filesystem::path> apply();

 private:
  bool read();
  void read_rest();

  std::filesystem::path path_;
  std::string host_name_;
  pid_t pid_ = -1;
  bool is_running_ = false;
  core::Descriptor handle_;  // poll() says when bash has ended
  core::Descriptor output_;  // until then, or its end
  std::string text_;         // NAME=value, each with a zero byte behind it
};

}  // namespace deepspeed::launcher
