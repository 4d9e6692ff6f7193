// Front ends' small questions, passed on to the parts that answer them.
#include "deepspeed/detail/front_end.h"

#include <nlohmann/json.hpp>

#include "config/batch.h"
#include "config/config.h"
#include "config/effective_json.h"
#include "core/log.h"
#include "deepspeed/error.h"
#include "engine/group_values.h"
#include "optim/schedules.h"

namespace deepspeed::detail {
namespace {

nlohmann::json parse(const std::string& text, const char* what) {
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    throw ConfigError(concat("[engine] ", what, ": ", error.what()));
  }
}

}  // namespace

std::string read_config(const std::string& argument) { return config::load_config_argument(argument).raw.dump(); }

std::pair<std::string, std::string> resolve_config(const std::string& argument, int data_parallel_size) {
  config::Config config = config::load_config_argument(argument);
  config::resolve_batch(config, data_parallel_size);
  return {config.raw.dump(), config::effective_json(config).dump()};
}

ScheduleValues schedule_values(const std::string& type, const std::string& params, const std::vector<double>& group_lrs,
                               int64_t iteration) {
  const auto schedule = optim::make_schedule(type, parse(params, "schedule parameters"), group_lrs);
  return {schedule->lr(iteration), schedule->betas(iteration)};
}

std::vector<std::pair<std::string, double>> optimizer_numbers(const std::string& type, const std::string& params) {
  const auto values =
      engine::to_group_values(optim::parse_hyperparameters(type, parse(params, "optimizer parameters")));
  return {values.begin(), values.end()};
}

void set_log_level(const std::string& level) { core::set_log_level(core::parse_log_level(level)); }

void set_log_sink(std::function<void(const std::string&, const std::string&)> sink) {
  if (!sink) return core::set_log_sink({});
  core::set_log_sink(
      [sink = std::move(sink)](core::LogLevel level, const std::string& text) { sink(core::name_of(level), text); });
}

}  // namespace deepspeed::detail
