#include "config/legacy_config.h"

namespace deepspeed::config {

Fields fields(ElasticityConfig& config) {
  return {
      field("enabled", config.enabled),
      field("max_train_batch_size", config.max_train_batch_size).at_least(1),
      field("micro_batch_sizes", config.micro_batch_sizes).at_least(1),
      field("min_gpus", config.min_gpus).at_least(1),
      field("max_gpus", config.max_gpus).at_least(1),
      field("num_gpus_per_node", config.num_gpus_per_node).at_least(1),
      field("model_parallel_size", config.model_parallel_size).at_least(1),
      field("min_time", config.min_time).at_least(0),
      field("prefer_larger_batch", config.prefer_larger_batch),
      field("ignore_non_elastic_batch_info", config.ignore_non_elastic_batch_info),
      field("version", config.version),
  };
}

Fields fields(SparseAttentionConfig& config) {
  return {
      field("mode", config.mode).one_of({"dense", "fixed", "variable", "bigbird", "bslongformer"}),
      field("block", config.block).at_least(1),
      field("different_layout_per_head", config.different_layout_per_head),
      field("num_local_blocks", config.num_local_blocks).at_least(1),
      field("num_global_blocks", config.num_global_blocks).at_least(0),
      field("attention", config.attention).one_of({"bidirectional", "unidirectional"}),
      field("horizontal_global_attention", config.horizontal_global_attention),
      field("num_different_global_patterns", config.num_different_global_patterns).at_least(1),
      field("num_random_blocks", config.num_random_blocks).at_least(0),
      field("local_window_blocks", config.local_window_blocks).at_least(1),
      field("global_block_indices", config.global_block_indices).at_least(0),
      field("global_block_end_indices", config.global_block_end_indices).at_least(0),
      field("num_sliding_window_blocks", config.num_sliding_window_blocks).at_least(1),
  };
}

Fields fields(ProgressiveLayerDropConfig& config) {
  return {
      field("enabled", config.enabled),
      field("theta", config.theta).between(0, 1),
      field("gamma", config.gamma).at_least(0),
  };
}

Fields fields(EigenvalueConfig& config) {
  return {
      field("enabled", config.enabled),
      field("verbose", config.verbose),
      field("max_iter", config.max_iter).at_least(1),
      field("tol", config.tol).above(0),
      field("stability", config.stability).at_least(0),
      field("gas_boundary_resolution", config.gas_boundary_resolution).at_least(1),
      field("layer_name", config.layer_name),
      field("layer_num", config.layer_num).at_least(0),
  };
}

Fields fields(CurriculumLearningConfig& config) {
  return {
      field("enabled", config.enabled),
      field("curriculum_type", config.curriculum_type),
      field("min_difficulty", config.min_difficulty),
      field("max_difficulty", config.max_difficulty),
      field("schedule_type", config.schedule_type).one_of({"fixed_linear", "fixed_root", "fixed_discrete", "custom"}),
      field("schedule_config", config.schedule_config).object(),
  };
}

Fields fields(NebulaConfig& config) {
  return {
      field("enabled", config.enabled),
      field("enable_nebula_load", config.enable_nebula_load),
      field("nebula_load_path", config.nebula_load_path),
      field("persistent_storage_path", config.persistent_storage_path),
      field("persistent_time_interval", config.persistent_time_interval).at_least(1),
      field("num_of_version_in_retention", config.num_of_version_in_retention).at_least(1),
  };
}

Fields fields(LayerReductionConfig& config) {
  return {
      field("enabled", config.enabled),
      field("keep_number_layer", config.keep_number_layer).at_least(1),
      field("module_name_prefix", config.module_name_prefix),
      field("teacher_layer", config.teacher_layer).at_least(0),
      field("other_module_name", config.other_module_name),
  };
}

Fields fields(CompressionTechniqueConfig& config) {
  return {
      field("shared_parameters", config.shared_parameters).object(),
      field("different_groups", config.different_groups).object(),
  };
}

Fields fields(CompressionTrainingConfig& config) {
  return {
      section("weight_quantization", config.weight_quantization),
      section("activation_quantization", config.activation_quantization),
      section("sparse_pruning", config.sparse_pruning),
      section("row_pruning", config.row_pruning),
      section("head_pruning", config.head_pruning),
      section("channel_pruning", config.channel_pruning),
      section("layer_reduction", config.layer_reduction),
  };
}

}  // namespace deepspeed::config
