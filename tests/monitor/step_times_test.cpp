#include "monitor/step_times.h"

#include <gtest/gtest.h>

namespace deepspeed::monitor {
namespace {

using core::TraceEvent;
using core::TraceKind;

TraceEvent event(TraceKind kind, double begin_ms, double end_ms) {
  TraceEvent result;
  result.kind = kind;
  result.begin_ns = static_cast<int64_t>(begin_ms * 1e6);
  result.end_ns = static_cast<int64_t>(end_ms * 1e6);
  return result;
}

/// Two micro-batches and a step; the reduction takes 8 ms, of which 2 are waited for.
std::vector<TraceEvent> one_step() {
  return {event(TraceKind::kForward, 0, 10),   event(TraceKind::kAutograd, 10, 30), event(TraceKind::kBackward, 10, 30),
          event(TraceKind::kForward, 30, 40),  event(TraceKind::kAutograd, 40, 60), event(TraceKind::kReduce, 54, 62),
          event(TraceKind::kWait, 60, 62),     event(TraceKind::kBackward, 40, 62), event(TraceKind::kNorm, 62, 63),
          event(TraceKind::kUpdate, 63, 66.5), event(TraceKind::kStep, 62, 67)};
}

TEST(StepTimes, TheLineHasMeansAStepOverAllItsMicroBatches) {
  StepTimes times;
  times.add_step(one_step());
  times.add_step(one_step());
  EXPECT_EQ(times.line(0),
            "[Rank 0] time (ms) | fwd: 20.00 | bwd: 42.00 | bwd_inner: 40.00 | bwd_allreduce: 2.00 | step: 5.00 | "
            "communication: 8.00, 75.0 % hidden");
}

TEST(StepTimes, WithoutCommunicationTheLineSaysNothingOfIt) {
  StepTimes times;
  times.add_step({event(TraceKind::kForward, 0, 10), event(TraceKind::kStep, 10, 11)});
  EXPECT_EQ(times.line(3),
            "[Rank 3] time (ms) | fwd: 10.00 | bwd: 0.00 | bwd_inner: 0.00 | bwd_allreduce: 0.00 | step: 1.00");
}

TEST(StepTimes, StepsAreMeasuredApart) {
  StepTimes times;
  times.add_step(one_step());
  times.add_step(one_step());  // at the same times: overlaps only count within a step
  EXPECT_EQ(times.communication().in_flight_ns, 16'000'000);
  EXPECT_EQ(times.communication().waited_ns, 4'000'000);
}

}  // namespace
}  // namespace deepspeed::monitor
