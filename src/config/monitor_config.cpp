#include "config/monitor_config.h"

namespace deepspeed::config {

Fields fields(EventFileConfig& config) {
  return {
      field("enabled", config.enabled),
      field("output_path", config.output_path),
      field("job_name", config.job_name),
  };
}

Fields fields(WandbConfig& config) {
  return {
      field("enabled", config.enabled),
      field("group", config.group),
      field("team", config.team),
      field("project", config.project),
  };
}

Fields fields(CometConfig& config) {
  return {
      field("enabled", config.enabled),
      field("samples_log_interval", config.samples_log_interval).at_least(1),
      field("project", config.project),
      field("workspace", config.workspace),
      field("api_key", config.api_key),
      field("experiment_name", config.experiment_name),
      field("experiment_key", config.experiment_key),
      field("online", config.online),
      field("mode", config.mode).one_of({"get", "create", "get_or_create"}),
  };
}

Fields fields(FlopsProfilerConfig& config) {
  return {
      field("enabled", config.enabled),
      field("recompute_fwd_factor", config.recompute_fwd_factor).at_least(0),
      field("profile_step", config.profile_step),
      field("module_depth", config.module_depth),
      field("top_modules", config.top_modules),
      field("detailed", config.detailed),
      field("output_file", config.output_file),
  };
}

Fields fields(CommsLoggerConfig& config) {
  return {
      field("enabled", config.enabled), field("prof_all", config.prof_all), field("prof_ops", config.prof_ops),
      field("verbose", config.verbose), field("debug", config.debug),
  };
}

Fields fields(ThroughputTimerConfig& config) {
  return {
      field("enabled", config.enabled),
      field("synchronized", config.synchronized),
  };
}

Fields fields(TimersConfig& config) { return {section("throughput", config.throughput)}; }

Fields fields(TraceConfig& config) {
  return {
      field("enabled", config.enabled),
      field("path", config.path),
      field("steps", config.steps).items(2).at_least(1),
  };
}

}  // namespace deepspeed::config
