// Sums over steps, and the line that they make.
#include "monitor/step_times.h"

#include <cstdio>

namespace deepspeed::monitor {
namespace {

constexpr double kNsPerMs = 1e6;

std::string fixed(double value, int decimals) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

}  // namespace

Communication communication_of(const std::vector<core::TraceEvent>& events) {
  std::vector<Interval> collectives;
  std::vector<Interval> waits;
  for (const core::TraceEvent& event : events) {
    if (core::is_collective(event.kind)) collectives.push_back({event.begin_ns, event.end_ns});
    if (event.kind == core::TraceKind::kWait) waits.push_back({event.begin_ns, event.end_ns});
  }
  return measure(std::move(collectives), std::move(waits));
}

void StepTimes::add_step(const std::vector<core::TraceEvent>& events) {
  ++steps_;
  for (const core::TraceEvent& event : events)
    total_ns_[static_cast<size_t>(event.kind)] += event.end_ns - event.begin_ns;
  const Communication step = communication_of(events);
  communication_.in_flight_ns += step.in_flight_ns;
  communication_.waited_ns += step.waited_ns;
}

double StepTimes::mean_ms(core::TraceKind kind) const {
  if (steps_ == 0) return 0.0;
  return static_cast<double>(total_ns_[static_cast<size_t>(kind)]) / kNsPerMs / static_cast<double>(steps_);
}

std::string StepTimes::line(int rank) const {
  using core::TraceKind;
  const double backward = mean_ms(TraceKind::kBackward);
  const double autograd = mean_ms(TraceKind::kAutograd);
  std::string text = "[Rank " + std::to_string(rank) + "] time (ms)";
  const auto add = [&text](const char* name, double ms) { text += std::string(" | ") + name + ": " + fixed(ms, 2); };
  add("fwd", mean_ms(TraceKind::kForward));
  add("bwd", backward);
  add("bwd_inner", autograd);
  add("bwd_allreduce", backward - autograd);
  add("step", mean_ms(TraceKind::kStep));
  if (const auto share = communication_.hidden_share()) {
    add("communication", static_cast<double>(communication_.in_flight_ns) / kNsPerMs / static_cast<double>(steps_));
    text += ", " + fixed(100.0 * *share, 1) + " % hidden";
  }
  return text;
}

}  // namespace deepspeed::monitor
