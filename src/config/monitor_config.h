// What is measured and where it goes: tensorboard, csv_monitor, wandb, comet, flops_profiler, comms_logger, timers,
// trace.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/field.h"

namespace deepspeed::config {

/// Sections tensorboard and csv_monitor.
struct EventFileConfig {
  bool enabled = false;
  std::string output_path;                    ///< folder
  std::string job_name = "DeepSpeedJobName";  ///< folder in it
};

struct WandbConfig {
  bool enabled = false;
  std::optional<std::string> group;
  std::optional<std::string> team;
  std::string project = "deepspeed";
};

struct CometConfig {
  bool enabled = false;
  int64_t samples_log_interval = 100;
  std::optional<std::string> project;
  std::optional<std::string> workspace;
  std::optional<std::string> api_key;
  std::optional<std::string> experiment_name;
  std::optional<std::string> experiment_key;
  std::optional<bool> online;
  std::optional<std::string> mode;  ///< get, create or get_or_create
};

struct FlopsProfilerConfig {
  bool enabled = false;
  double recompute_fwd_factor = 0;  ///< share of the forward pass that backward repeats
  int64_t profile_step = 1;
  int64_t module_depth = -1;  ///< -1: down to the leaves
  int64_t top_modules = 1;
  bool detailed = true;
  std::optional<std::string> output_file;
};

struct CommsLoggerConfig {
  bool enabled = false;  ///< absent in a section that is there: true, as DeepSpeed
  bool prof_all = true;
  std::vector<std::string> prof_ops;
  bool verbose = false;
  bool debug = false;
};

struct ThroughputTimerConfig {
  bool enabled = true;
  bool synchronized = true;
};

struct TimersConfig {
  ThroughputTimerConfig throughput;
};

/// Ours: the timeline of some steps.
struct TraceConfig {
  bool enabled = false;
  std::string path = "trace";        ///< folder; a file a rank
  std::vector<int64_t> steps{3, 5};  ///< the first and the last to record, counted from 1
};

Fields fields(EventFileConfig& config);
Fields fields(WandbConfig& config);
Fields fields(CometConfig& config);
Fields fields(FlopsProfilerConfig& config);
Fields fields(CommsLoggerConfig& config);
Fields fields(ThroughputTimerConfig& config);
Fields fields(TimersConfig& config);
Fields fields(TraceConfig& config);

}  // namespace deepspeed::config
