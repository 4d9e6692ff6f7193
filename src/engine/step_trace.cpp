// Turning the tracer on and off from step to step, and handing what it has on.
#include "engine/step_trace.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "comm/traced_communicator.h"
#include "core/file.h"
#include "core/log.h"
#include "deepspeed/error.h"
#include "monitor/chrome_trace.h"

namespace deepspeed::engine {
namespace {

constexpr size_t kMostFileEvents = 1'000'000;  // 96 MB while they are gathered, about 200 MB of text

/// From the steady clock to the system's: files of several hosts line up as well as their clocks do.
int64_t system_clock_offset_ns() {
  using std::chrono::duration_cast;
  const auto system_ns = duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch());
  return system_ns.count() - core::steady_now_ns();
}

}  // namespace

StepTrace::StepTrace(const config::Config& config, int rank, core::Tracer::Clock clock)
    : wants_times_(config.wall_clock_breakdown),
      wants_file_(config.trace.enabled),
      config_(config.trace),
      steps_per_print_(config.steps_per_print),
      rank_(rank),
      tracer_(std::make_shared<core::Tracer>(std::move(clock))) {
  go_to(1);
}

std::unique_ptr<comm::Communicator> StepTrace::watch(std::unique_ptr<comm::Communicator> communicator,
                                                     std::string channel) {
  if (!is_wanted() || communicator->size() == 1) return communicator;
  channels_.push_back(std::move(channel));
  return comm::make_traced_communicator(std::move(communicator), tracer_, static_cast<uint8_t>(channels_.size() - 1));
}

bool StepTrace::is_in_file(int64_t step) const {
  return wants_file_ && !written_ && step >= config_.steps.front() && step <= config_.steps.back();
}

bool StepTrace::prints_after(int64_t step) const { return wants_times_ && step % steps_per_print_.value_or(1) == 0; }

void StepTrace::note(core::TraceKind kind, const char* name, std::optional<int64_t>& began_ns) {
  if (!began_ns) return;
  core::TraceEvent event;
  event.kind = kind;
  event.begin_ns = *began_ns;
  event.end_ns = tracer_->now_ns();
  event.set_name(name);
  tracer_->record(event);
  began_ns.reset();
}

void StepTrace::go_to(int64_t step) {
  step_ = step;
  micro_batch_ = 0;
  tracer_->turn(wants_times_ || is_in_file(step_));
  tracer_->set_position(step_, micro_batch_);
}

void StepTrace::begin_forward(int64_t step) {
  if (step != step_) go_to(step);  // a checkpoint was loaded
  if (!tracer_->is_on() || backward_began_ns_) return;
  end_forward();
  forward_began_ns_ = tracer_->now_ns();
}

void StepTrace::end_forward() { note(core::TraceKind::kForward, "forward", forward_began_ns_); }

void StepTrace::begin_backward() {
  if (!tracer_->is_on()) return;
  end_forward();
  backward_began_ns_ = autograd_began_ns_ = tracer_->now_ns();
}

void StepTrace::end_autograd() { note(core::TraceKind::kAutograd, "autograd", autograd_began_ns_); }

void StepTrace::end_backward() { note(core::TraceKind::kBackward, "backward", backward_began_ns_); }

void StepTrace::drop_backward() {
  backward_began_ns_.reset();
  autograd_began_ns_.reset();
}

void StepTrace::end_micro_batch() {
  if (!is_wanted()) return;
  tracer_->drain(step_events_);  // the rings are made for one micro-batch
  tracer_->set_position(step_, ++micro_batch_);
}

std::string StepTrace::end_step(int64_t step) {
  if (!is_wanted()) return {};
  std::string line;
  has_stepped_ = true;
  tracer_->drain(step_events_);
  report_dropped();
  if (tracer_->is_on()) times_.add_step(step_events_);
  if (is_in_file(step)) file_events_.insert(file_events_.end(), step_events_.begin(), step_events_.end());
  if (prints_after(step)) line = std::exchange(times_, {}).line(rank_);
  step_events_.clear();
  if (file_events_.size() >= kMostFileEvents && step < config_.steps.back()) {
    core::log_warning("[engine.trace] the timeline has ", file_events_.size(), " events after step ", step,
                      " and ends there. Record fewer steps: trace.steps");
    try_to_write();
  } else if (is_in_file(step) && step == config_.steps.back()) {
    try_to_write();
  }
  go_to(step + 1);
  return line;
}

void StepTrace::report_dropped() {
  const int64_t dropped = tracer_->dropped();
  if (dropped == dropped_) return;
  core::log_warning("[engine.trace] step ", step_, ": ", dropped - dropped_,
                    " events found no room, and its times and ",
                    "timeline lack them. A thread has room for 8192 a micro-batch: fewer, larger units need less");
  dropped_ = dropped;
}

void StepTrace::write() {
  std::filesystem::create_directories(config_.path);
  const auto file = std::filesystem::path(config_.path) / concat("rank_", rank_, ".json");
  const monitor::TimelineNames names{.rank = rank_, .threads = tracer_->thread_names(), .channels = channels_};
  core::write_file_atomically(file, monitor::chrome_trace(file_events_, names, system_clock_offset_ns()));
  core::log_info("[engine.trace] the timeline of steps ", config_.steps.front(), " to ",
                 std::min(step_, config_.steps.back()), " is in ", file.string());
}

void StepTrace::try_to_write() {
  written_ = true;
  try {
    write();
  } catch (const std::exception& error) {
    core::log_warning("[engine.trace] no timeline: ", error.what(), ". Training goes on");
  }
  file_events_ = {};
}

void StepTrace::finish() {
  if (!wants_file_ || written_) return;
  tracer_->drain(step_events_);
  file_events_.insert(file_events_.end(), step_events_.begin(), step_events_.end());
  std::erase_if(file_events_, [this](const core::TraceEvent& event) { return !is_in_file(event.step); });
  if (!file_events_.empty()) return try_to_write();
  if (has_stepped_ && rank_ == 0) {
    core::log_warning(
        "[engine.trace] no timeline: it was to have steps ", config_.steps.front(), " to ", config_.steps.back(),
        " (trace.steps, counted from the first of all runs), and this run ended before step ", step_, " was done");
  }
}

}  // namespace deepspeed::engine
