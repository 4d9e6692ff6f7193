// Section autotuning: what the tuner of the launcher tries and where it writes.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "config/field.h"

namespace deepspeed::config {

struct AutotuningModelInfoConfig {
  bool profile = false;
  std::optional<int64_t> num_params;
  std::optional<int64_t> hidden_size;
  std::optional<int64_t> num_layers;
};

struct AutotuningConfig {
  bool enabled = false;
  bool fast = true;
  std::string results_dir = "autotuning_results";
  std::string exps_dir = "autotuning_exps";
  bool overwrite = true;
  int64_t start_profile_step = 3;
  int64_t end_profile_step = 5;
  std::string metric = "throughput";  ///< throughput, latency, flops, forward, ...
  std::optional<std::string> metric_path;
  std::string tuner_type = "gridsearch";  ///< gridsearch, random or model_based
  int64_t tuner_early_stopping = 5;       ///< trials without a better one
  int64_t tuner_num_trials = 50;
  nlohmann::json arg_mappings;  ///< config key to the script's own flag
  std::optional<AutotuningModelInfoConfig> model_info;
  std::optional<std::string> model_info_path;
  int64_t mp_size = 1;
  std::optional<int64_t> max_train_batch_size;
  int64_t min_train_batch_size = 1;
  int64_t max_train_micro_batch_size_per_gpu = 1024;
  int64_t min_train_micro_batch_size_per_gpu = 1;
  int64_t num_tuning_micro_batch_sizes = 3;
};

Fields fields(AutotuningModelInfoConfig& config);
Fields fields(AutotuningConfig& config);

}  // namespace deepspeed::config
