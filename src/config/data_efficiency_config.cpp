#include "config/data_efficiency_config.h"

namespace deepspeed::config {

Fields fields(CurriculumScheduleConfig& config) {
  return {
      field("total_curriculum_step", config.total_curriculum_step).at_least(1),
      field("difficulty_step", config.difficulty_step).at_least(1),
      field("root_degree", config.root_degree).above(0),
      field("difficulty", config.difficulty),
      field("max_step", config.max_step),
  };
}

Fields fields(CurriculumMetricConfig& config) {
  return {
      field("index_to_sample_path", config.index_to_sample_path),
      field("index_to_metric_path", config.index_to_metric_path),
      field("difficulty_type", config.difficulty_type).one_of({"value", "percentile"}),
      field("clustering_type", config.clustering_type).one_of({"schedule_based", "single_cluster"}),
      field("min_difficulty", config.min_difficulty),
      field("max_difficulty", config.max_difficulty),
      field("schedule_type", config.schedule_type).one_of({"fixed_linear", "fixed_root", "fixed_discrete", "custom"}),
      section("schedule_config", config.schedule_config),
  };
}

Fields fields(DataCurriculumConfig& config) {
  return {
      field("enabled", config.enabled),
      field("data_cluster_path", config.data_cluster_path),
      section_map("curriculum_metrics", config.curriculum_metrics),
  };
}

Fields fields(DynamicBatchingConfig& config) {
  return {
      field("enabled", config.enabled),
      field("metrics_path", config.metrics_path),
      field("lr_scaling_method", config.lr_scaling_method).one_of({"linear", "sqrt", "none"}),
      field("min_batch_size", config.min_batch_size).at_least(1),
      field("max_batch_size", config.max_batch_size).at_least(1),
      field("sequence_picking_order", config.sequence_picking_order).one_of({"dataloader", "random", "seqlen"}),
      field("max_tokens", config.max_tokens).at_least(1),
      field("verbose", config.verbose),
  };
}

Fields fields(DataSamplingConfig& config) {
  return {
      field("enabled", config.enabled),
      field("num_epochs", config.num_epochs).at_least(1),
      field("num_workers", config.num_workers).at_least(0),
      field("pin_memory", config.pin_memory),
      section("curriculum_learning", config.curriculum_learning),
      section("dynamic_batching", config.dynamic_batching),
  };
}

Fields fields(RandomLtdStepsConfig& config) {
  return {
      field("require_steps", config.require_steps).at_least(1),
      field("seq_per_step", config.seq_per_step).at_least(1),
  };
}

Fields fields(RandomLtdScheduleConfig& config) {
  return {
      field("min_value", config.min_value).at_least(0),
      field("max_value", config.max_value).at_least(0),
      field("schedule_type", config.schedule_type).one_of({"fixed_linear"}),
      section("schedule_config", config.schedule_config),
  };
}

Fields fields(LayerTokenLrConfig& config) { return {field("enabled", config.enabled)}; }

Fields fields(RandomLtdConfig& config) {
  return {
      field("enabled", config.enabled),
      field("total_layer_num", config.total_layer_num).at_least(1),
      field("random_ltd_layer_num", config.random_ltd_layer_num).at_least(0),
      field("random_ltd_layer_id", config.random_ltd_layer_id).at_least(0),
      field("model_mask_name", config.model_mask_name),
      field("model_type", config.model_type).one_of({"decoder", "encoder"}),
      field("hidden_state_order", config.hidden_state_order),
      section("random_ltd_schedule", config.random_ltd_schedule),
      section("layer_token_lr_schedule", config.layer_token_lr_schedule),
  };
}

Fields fields(DataRoutingConfig& config) {
  return {
      field("enabled", config.enabled),
      section("random_ltd", config.random_ltd),
  };
}

Fields fields(DataEfficiencyConfig& config) {
  return {
      field("enabled", config.enabled),
      field("seed", config.seed),
      section("data_sampling", config.data_sampling),
      section("data_routing", config.data_routing),
  };
}

}  // namespace deepspeed::config
