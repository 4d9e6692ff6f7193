// The timeline of an engine's steps: what is noted, when it is printed and where it is written. From the config keys
// wall_clock_breakdown, steps_per_print and trace.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "config/config.h"
#include "core/trace.h"
#include "monitor/step_times.h"

namespace deepspeed::engine {

/// Where neither key asks for it, nothing is noted and communicators stay as they are. Calls come from the engine's
/// thread, but for begin_backward, which a plain loss.backward() raises on autograd's.
class StepTrace {
 public:
  StepTrace(const config::Config& config, int rank, core::Tracer::Clock clock);

  /// `communicator`, its collectives noted under `channel`.
  std::unique_ptr<comm::Communicator> watch(std::unique_ptr<comm::Communicator> communicator, std::string channel);

  bool is_wanted() const { return wants_times_ || wants_file_; }
  /// For scopes; null where nothing is wanted.
  core::Tracer* tracer() const { return is_wanted() ? tracer_.get() : nullptr; }

  /// In the `step`-th step, counted from 1. A forward that is open ends where the next event begins.
  /// One inside a backward (a checkpointed module that runs again) is backward's.
  void begin_forward(int64_t step);
  void end_forward();
  void begin_backward();
  void end_autograd();
  void end_backward();
  void drop_backward();
  void end_micro_batch();

  /// After a boundary step, the `step`-th: the line to print now, "" mostly. Writes the file after the last step that
  /// it has. A failure is logged: a timeline is not worth a training run.
  std::string end_step(int64_t step);

  /// Before the engine goes: a file whose last step never came is written with what there is. A failure is logged.
  void finish();

 private:
  void go_to(int64_t step);
  bool is_in_file(int64_t step) const;
  bool prints_after(int64_t step) const;
  void report_dropped();
  void note(core::TraceKind kind, const char* name, std::optional<int64_t>& began_ns);
  void write();
  void try_to_write();

  const bool wants_times_;
  const bool wants_file_;
  const config::TraceConfig config_;
  const std::optional<int64_t> steps_per_print_;
  const int rank_;
  const std::shared_ptr<core::Tracer> tracer_;  // works that travel hold it too
  std::vector<std::string> channels_;

  int64_t step_ = 1;  // the present one
  int64_t micro_batch_ = 0;
  std::optional<int64_t> forward_began_ns_;
  std::optional<int64_t> backward_began_ns_;
  std::optional<int64_t> autograd_began_ns_;
  monitor::StepTimes times_;
  std::vector<core::TraceEvent> step_events_;
  std::vector<core::TraceEvent> file_events_;
  int64_t dropped_ = 0;  ///< events, as far as reported
  bool has_stepped_ = false;
  bool written_ = false;
};

}  // namespace deepspeed::engine
