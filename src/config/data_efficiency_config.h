// Section data_efficiency: curriculum sampling, batches of varying size, random layer-token dropping.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "config/field.h"

namespace deepspeed::config {

struct CurriculumScheduleConfig {
  std::optional<int64_t> total_curriculum_step;
  std::optional<int64_t> difficulty_step;
  std::optional<double> root_degree;  ///< of fixed_root
  std::vector<int64_t> difficulty;    ///< of fixed_discrete
  std::vector<int64_t> max_step;      ///< of fixed_discrete: one shorter
};

struct CurriculumMetricConfig {
  std::optional<std::string> index_to_sample_path;
  std::optional<std::string> index_to_metric_path;
  std::string difficulty_type = "value";  ///< value or percentile
  std::string clustering_type = "schedule_based";
  std::optional<int64_t> min_difficulty;
  std::optional<int64_t> max_difficulty;
  std::optional<std::string> schedule_type;  ///< fixed_linear, fixed_root, fixed_discrete or custom
  CurriculumScheduleConfig schedule_config;
};

struct DataCurriculumConfig {
  bool enabled = false;
  std::optional<std::string> data_cluster_path;
  std::map<std::string, CurriculumMetricConfig> curriculum_metrics;
};

struct DynamicBatchingConfig {
  bool enabled = false;
  std::optional<std::string> metrics_path;
  std::string lr_scaling_method = "linear";
  int64_t min_batch_size = 1;
  std::optional<int64_t> max_batch_size;
  std::string sequence_picking_order = "dataloader";
  std::optional<int64_t> max_tokens;
  bool verbose = false;
};

struct DataSamplingConfig {
  bool enabled = false;
  int64_t num_epochs = 1000;
  int64_t num_workers = 0;
  bool pin_memory = false;
  DataCurriculumConfig curriculum_learning;
  DynamicBatchingConfig dynamic_batching;
};

struct RandomLtdStepsConfig {
  std::optional<int64_t> require_steps;
  std::optional<int64_t> seq_per_step;
};

struct RandomLtdScheduleConfig {
  std::optional<int64_t> min_value;
  std::optional<int64_t> max_value;
  std::string schedule_type = "fixed_linear";
  RandomLtdStepsConfig schedule_config;
};

struct LayerTokenLrConfig {
  bool enabled = false;
};

struct RandomLtdConfig {
  bool enabled = false;
  std::optional<int64_t> total_layer_num;
  std::optional<int64_t> random_ltd_layer_num;
  std::vector<int64_t> random_ltd_layer_id;
  std::optional<std::string> model_mask_name;
  std::optional<std::string> model_type;  ///< decoder or encoder
  std::optional<std::string> hidden_state_order;
  RandomLtdScheduleConfig random_ltd_schedule;
  LayerTokenLrConfig layer_token_lr_schedule;
};

struct DataRoutingConfig {
  bool enabled = false;
  RandomLtdConfig random_ltd;
};

struct DataEfficiencyConfig {
  bool enabled = false;
  int64_t seed = 1234;
  DataSamplingConfig data_sampling;
  DataRoutingConfig data_routing;
};

Fields fields(CurriculumScheduleConfig& config);
Fields fields(CurriculumMetricConfig& config);
Fields fields(DataCurriculumConfig& config);
Fields fields(DynamicBatchingConfig& config);
Fields fields(DataSamplingConfig& config);
Fields fields(RandomLtdStepsConfig& config);
Fields fields(RandomLtdScheduleConfig& config);
Fields fields(LayerTokenLrConfig& config);
Fields fields(RandomLtdConfig& config);
Fields fields(DataRoutingConfig& config);
Fields fields(DataEfficiencyConfig& config);

}  // namespace deepspeed::config
