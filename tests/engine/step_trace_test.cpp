#include "engine/step_trace.h"

#include <gtest/gtest.h>

#include "support/scratch_folder.h"

namespace deepspeed::engine {
namespace {

// The line of times keeps the tracer on in every step.
TEST(StepTrace, ATimelineOfStepsThatNeverCameIsNotWritten) {
  const std::filesystem::path folder = test::scratch_path("trace");
  config::Config config;
  config.wall_clock_breakdown = true;
  config.trace = {.enabled = true, .path = folder.string(), .steps = {5, 6}};
  StepTrace trace(config, 0, core::steady_now_ns);
  trace.begin_forward(1);
  trace.end_forward();
  trace.finish();
  EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST(StepTrace, ATimelineThatIsCutShortIsWritten) {
  const std::filesystem::path folder = test::scratch_path("trace");
  config::Config config;
  config.trace = {.enabled = true, .path = folder.string(), .steps = {1, 6}};
  StepTrace trace(config, 0, core::steady_now_ns);
  trace.begin_forward(1);
  trace.end_forward();
  trace.finish();
  EXPECT_TRUE(std::filesystem::exists(folder / "rank_0.json"));
}

}  // namespace
}  // namespace deepspeed::engine
