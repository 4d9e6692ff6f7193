// One ssh to a host and what goes over it: lines in, lines out, its complaints, its end.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/descriptor.h"
#include "launcher/line_splitter.h"
#include "launcher/output_queue.h"
#include "launcher/watch.h"

namespace deepspeed::hosts {

/// Starts the program when it is made; kills it when it is destroyed. It is over when the program has ended and all
/// that it wrote is read, whoever else still holds its outputs (an ssh that stays in the background for the next one).
/// One thread, the main one.
class RemoteProcess {
 public:
  using Consumer = std::function<void(bool is_error, const launcher::Line&)>;

  /// Throws IoError where the program cannot be started. `consume` gets the lines of both outputs as they come, and is
  /// called from within the watches.
  RemoteProcess(const std::vector<std::string>& command, Consumer consume);
  ~RemoteProcess();
  RemoteProcess(const RemoteProcess&) = delete;
  RemoteProcess& operator=(const RemoteProcess&) = delete;

  /// Goes out while the watches are waited for.
  void send(std::string_view bytes) { queue_->push(bytes); }
  /// The standard input ends after what was sent.
  void end_input() { ends_input_ = true; }
  void add_watches(std::vector<launcher::Watch>& watches);

  bool is_over() const { return exit_code_.has_value(); }
  /// As a shell has it: 128 + the signal that ended it. Once it is over.
  int exit_code() const { return exit_code_.value_or(-1); }
  void kill();

 private:
  struct Output {
    core::Descriptor pipe;
    launcher::LineSplitter splitter;
    bool is_error = false;
  };
  void write_input();
  bool read_some(Output& output);  // whether there may be more
  void finish();

  pid_t pid_ = -1;
  core::Descriptor handle_;  // of the process: readable when it has ended
  core::Descriptor in_;
  std::optional<launcher::OutputQueue> queue_;
  bool ends_input_ = false;
  Output out_, err_;
  Consumer consume_;
  std::optional<int> exit_code_;
};

}  // namespace deepspeed::hosts
