#include "engine/step_trace.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "core/file.h"
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

config::Config first_step_in(const std::filesystem::path& folder) {
  config::Config config;
  config.trace = {.enabled = true, .path = folder.string(), .steps = {1, 1}};
  return config;
}

/// How often each name is in the file of rank 0.
std::map<std::string, int> counts_in(const std::filesystem::path& folder) {
  std::map<std::string, int> counts;
  const auto trace = nlohmann::json::parse(core::read_file(folder / "rank_0.json"));
  for (const auto& event : trace["traceEvents"]) {
    if (event["ph"] == "X") ++counts[event["name"].get<std::string>()];
  }
  return counts;
}

TEST(StepTrace, AStepOfManyMicroBatchesLosesNothing) {
  const std::filesystem::path folder = test::scratch_path("trace");
  StepTrace trace(first_step_in(folder), 0, core::steady_now_ns);
  for (int micro_batch = 0; micro_batch < 8; ++micro_batch) {
    for (int unit = 0; unit < 3000; ++unit) {
      const core::TraceScope scope(trace.tracer(), core::TraceKind::kWait, "unit");
    }
    if (micro_batch < 7) trace.end_micro_batch();
  }
  trace.end_step(1);
  EXPECT_EQ(counts_in(folder)["unit"], 24'000);
}

TEST(StepTrace, AFileThatCannotBeWrittenDoesNotStopTheStep) {
  const std::filesystem::path file = test::scratch_path("occupied");
  std::ofstream(file) << "no folder";
  StepTrace trace(first_step_in(file / "trace"), 0, core::steady_now_ns);
  trace.begin_forward(1);
  EXPECT_NO_THROW(trace.end_step(1));
  EXPECT_NO_THROW(trace.end_step(2));
  EXPECT_NO_THROW(trace.finish());
}

TEST(StepTrace, WhatRunsAgainInsideABackwardIsBackwards) {
  const std::filesystem::path folder = test::scratch_path("trace");
  StepTrace trace(first_step_in(folder), 0, core::steady_now_ns);
  trace.begin_forward(1);
  trace.begin_backward();
  trace.begin_forward(1);  // activation checkpointing
  trace.end_autograd();
  trace.end_backward();
  trace.end_step(1);
  EXPECT_EQ(counts_in(folder), (std::map<std::string, int>{{"autograd", 1}, {"backward", 1}, {"forward", 1}}));
}

}  // namespace
}  // namespace deepspeed::engine
