#include "config/zero_config.h"

namespace deepspeed::config {

Fields fields(OffloadParamConfig& config) {
  return {
      field("device", config.device).one_of({"none", "cpu", "nvme"}),
      field("nvme_path", config.nvme_path),
      field("buffer_count", config.buffer_count).at_least(0),
      field("buffer_size", config.buffer_size).at_least(0),
      field("max_in_cpu", config.max_in_cpu).at_least(0),
      field("pin_memory", config.pin_memory),
  };
}

Fields fields(OffloadOptimizerConfig& config) {
  return {
      field("device", config.device).one_of({"none", "cpu", "nvme"}),
      field("nvme_path", config.nvme_path),
      field("buffer_count", config.buffer_count).at_least(0),
      field("pin_memory", config.pin_memory),
      field("pipeline_read", config.pipeline_read),
      field("pipeline_write", config.pipeline_write),
      field("fast_init", config.fast_init),
      field("ratio", config.ratio).between(0, 1),
      field("super_offload", config.super_offload),
      field("cpuadam_cores_perc", config.cpuadam_cores_perc).between(0, 1),
  };
}

Fields fields(ZenFlowConfig& config) {
  return {
      field("topk_ratio", config.topk_ratio).above(0).below(1),
      field("select_strategy", config.select_strategy).one_of({"auto", "step", "epoch"}),
      field("select_interval", config.select_interval),
      field("update_interval", config.update_interval).at_least(1),
      field("overlap_step", config.overlap_step),
      field("offload", config.offload),
      field("auto_ratio", config.auto_ratio),
      field("full_warm_up_rounds", config.full_warm_up_rounds),
      field("pt_reserved_cores_perc", config.pt_reserved_cores_perc),
      field("steps_per_epoch", config.steps_per_epoch),
  };
}

Fields fields(LeafModuleConfig& config) {
  return {
      field("classes", config.classes),
      field("names", config.names),
      field("name_suffixes", config.name_suffixes),
  };
}

Fields fields(ZeroppLocoConfig& config) {
  return {
      field("err_beta", config.err_beta),
      field("reset_T", config.reset_T).at_least(1),
  };
}

Fields fields(ZeroConfig& config) {
  const auto stage3 = [](const std::string& name, auto& member) { return field("stage3_" + name, member).alias(name); };
  return {
      field("stage", config.stage).between(0, 3),
      field("contiguous_gradients", config.contiguous_gradients),
      field("reduce_scatter", config.reduce_scatter),
      field("reduce_bucket_size", config.reduce_bucket_size).at_least(1),
      field("use_multi_rank_bucket_allreduce", config.use_multi_rank_bucket_allreduce),
      field("allgather_partitions", config.allgather_partitions),
      field("allgather_bucket_size", config.allgather_bucket_size).at_least(0),
      field("overlap_comm", config.overlap_comm),
      field("compute_grad_norm", config.compute_grad_norm),
      field("load_from_fp32_weights", config.load_from_fp32_weights),
      field("elastic_checkpoint", config.elastic_checkpoint),
      section("offload_param", config.offload_param),
      section("offload_optimizer", config.offload_optimizer),
      section("zenflow", config.zenflow),
      section("leaf_module", config.leaf_module),
      field("sub_group_size", config.sub_group_size).at_least(0),
      field("cpu_offload", config.cpu_offload),
      field("cpu_offload_param", config.cpu_offload_param),
      field("cpu_offload_use_pin_memory", config.cpu_offload_use_pin_memory),
      stage3("prefetch_bucket_size", config.stage3_prefetch_bucket_size).at_least(0),
      stage3("param_persistence_threshold", config.stage3_param_persistence_threshold).at_least(0),
      stage3("model_persistence_threshold", config.stage3_model_persistence_threshold).at_least(0),
      stage3("max_live_parameters", config.stage3_max_live_parameters).at_least(0),
      stage3("max_reuse_distance", config.stage3_max_reuse_distance).at_least(0),
      stage3("gather_16bit_weights_on_model_save", config.stage3_gather_16bit_weights_on_model_save)
          .was("stage3_gather_fp16_weights_on_model_save"),
      stage3("module_granularity_threshold", config.stage3_module_granularity_threshold),
      stage3("use_all_reduce_for_fetch_params", config.stage3_use_all_reduce_for_fetch_params),
      stage3("allgather_sequential", config.stage3_allgather_sequential),
      field("ignore_unused_parameters", config.ignore_unused_parameters),
      field("legacy_stage1", config.legacy_stage1),
      field("round_robin_gradients", config.round_robin_gradients),
      field("parameter_alignment", config.parameter_alignment),
      field("zero_hpz_partition_size", config.zero_hpz_partition_size).at_least(0),
      field("zero_quantized_weights", config.zero_quantized_weights),
      field("zero_quantized_nontrainable_weights", config.zero_quantized_nontrainable_weights),
      field("zero_quantized_gradients", config.zero_quantized_gradients),
      field("memory_efficient_linear", config.memory_efficient_linear),
      field("pipeline_loading_checkpoint", config.pipeline_loading_checkpoint),
      field("override_module_apply", config.override_module_apply),
      field("log_trace_cache_warnings", config.log_trace_cache_warnings),
      field("enable_sanity_checks", config.enable_sanity_checks),
      field("save_muon_momentum_buffer_in_memory", config.save_muon_momentum_buffer_in_memory),
      field("mics_shard_size", config.mics_shard_size),
      field("mics_hierarchical_params_gather", config.mics_hierarchical_params_gather),
      section("zeropp_loco_param", config.zeropp_loco_param),
  };
}

}  // namespace deepspeed::config
