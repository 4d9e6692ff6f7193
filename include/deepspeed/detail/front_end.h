// What a front end needs beside an engine: configs, schedules and the logger, in terms of text and numbers.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "deepspeed/export.h"

namespace deepspeed::detail {

/// The config as JSON text, as it was given: without the batch sizes that need the number of ranks.
DS_API std::string read_config(const std::string& config);

/// (the config as given, as plain JSON; every effective value as JSON). `argument`: path, JSON text or base64.
/// The batch sizes are resolved for `data_parallel_size` ranks. Throws ConfigError or IoError.
DS_API std::pair<std::string, std::string> resolve_config(const std::string& argument, int data_parallel_size);

struct ScheduleValues {
  std::vector<double> lr;                    ///< one a group
  std::vector<std::array<double, 2>> betas;  ///< one a group, or none where the schedule leaves momentum alone
};

/// A named learning-rate schedule at one iteration. `params` is JSON. Throws ConfigError.
DS_API ScheduleValues schedule_values(const std::string& type, const std::string& params,
                                      const std::vector<double>& group_lrs, int64_t iteration);

/// Numbers of an optimizer of the config's, defaults filled in: {"lr": ..., "beta1": ...}. Throws ConfigError.
DS_API std::vector<std::pair<std::string, double>> optimizer_numbers(const std::string& type,
                                                                     const std::string& params);

/// "debug", "info", "warning", "error" or "critical".
DS_API void set_log_level(const std::string& level);

/// Sends messages to `sink(level, text)` instead of standard error; an empty function restores that. Any thread.
DS_API void set_log_sink(std::function<void(const std::string& level, const std::string& text)> sink);

}  // namespace deepspeed::detail
