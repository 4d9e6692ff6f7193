#include "config/parallel_config.h"

namespace deepspeed::config {

Fields fields(TensorParallelGroupConfig& config) {
  return {
      field("tp_size", config.tp_size).at_least(1),
      field("tp_grain_size", config.tp_grain_size).at_least(1),
      field("mpu", config.mpu),
      field("tp_group", config.tp_group),
  };
}

Fields fields(LayerSpecConfig& config) {
  return {
      field("patterns", config.patterns),
      field("partition_type", config.partition_type).one_of({"column", "row", "skip"}),
      field("shape", config.shape),
      field("partition_dim", config.partition_dim),
      field("gather_output", config.gather_output),
      field("grad_allreduce", config.grad_allreduce),
      field("model_types", config.model_types),
  };
}

Fields fields(PartitionConfig& config) {
  return {
      field("use_default_specs", config.use_default_specs),
      field("strict_mode", config.strict_mode),
      field("tp_size", config.tp_size).at_least(1),
      field("embedding_partition_dim", config.embedding_partition_dim).between(0, 1),
      field("lm_head_patterns", config.lm_head_patterns),
      section_list("layer_specs", config.layer_specs),
  };
}

Fields fields(TensorParallelConfig& config) {
  return {
      field("autotp_size", config.autotp_size).at_least(0),
      field("dtype", config.dtype),
      field("tp_overlap_comm", config.tp_overlap_comm),
      field("vocab_parallel_lm_head", config.vocab_parallel_lm_head),
      field("vocab_parallel_ce_backend", config.vocab_parallel_ce_backend).one_of({"torch", "liger"}),
      section("tensor_parallel", config.tensor_parallel).alias("tp"),
      field("injection_policy_tuple", config.injection_policy_tuple),
      field("keep_module_on_host", config.keep_module_on_host),
      field("replace_with_kernel_inject", config.replace_with_kernel_inject).alias("kernel_inject"),
      field("preset_model", config.preset_model)
          .one_of({"llama", "bloom", "chatglm", "mixtral", "deepseek_v2", "qwen2", "phi3"}),
      section("partition_config", config.partition_config),
  };
}

Fields fields(PipelineConfig& config) {
  return {
      field("stages", config.stages).at_least(1),
      field("partition", config.partition),
      field("seed_layers", config.seed_layers),
      field("activation_checkpoint_interval", config.activation_checkpoint_interval).at_least(0),
      field("use_reentrant", config.use_reentrant),
      field("pipe_partitioned", config.pipe_partitioned),
      field("grad_partitioned", config.grad_partitioned),
  };
}

Fields fields(ActivationCheckpointingConfig& config) {
  return {
      field("partition_activations", config.partition_activations),
      field("contiguous_memory_optimization", config.contiguous_memory_optimization),
      field("cpu_checkpointing", config.cpu_checkpointing),
      field("number_checkpoints", config.number_checkpoints).at_least(1),
      field("synchronize_checkpoint_boundary", config.synchronize_checkpoint_boundary),
      field("profile", config.profile),
  };
}

Fields fields(HybridEngineConfig& config) {
  return {
      field("enabled", config.enabled),
      field("max_out_tokens", config.max_out_tokens).at_least(1),
      field("inference_tp_size", config.inference_tp_size).at_least(1),
      field("release_inference_cache", config.release_inference_cache),
      field("pin_parameters", config.pin_parameters),
      field("tp_gather_partition_size", config.tp_gather_partition_size).at_least(1),
      field("enable_cuda_graph", config.enable_cuda_graph),
  };
}

Fields fields(CompileConfig& config) {
  return {
      field("deepcompile", config.deepcompile),
      field("autoep_non_moe", config.autoep_non_moe),
      field("free_activation", config.free_activation),
      field("offload_activation", config.offload_activation),
      field("offload_opt_states", config.offload_opt_states),
      field("symmetric_memory", config.symmetric_memory),
      field("debug_log", config.debug_log),
      field("offload_parameters", config.offload_parameters),
      field("sync_before_reduce", config.sync_before_reduce),
      field("sync_after_reduce", config.sync_after_reduce),
      field("sync_before_allgather", config.sync_before_allgather),
      field("sync_after_allgather", config.sync_after_allgather),
      field("keep_all_input_tensors", config.keep_all_input_tensors),
      field("offload_activation_pin_memory", config.offload_activation_pin_memory),
      field("double_buffer", config.double_buffer),
      field("keep_int_input_tensors", config.keep_int_input_tensors),
      field("free_activation_threshold", config.free_activation_threshold).at_least(0),
      field("passes", config.passes).one_of({"z1", "z3", "autosp", "autotp"}),
  };
}

}  // namespace deepspeed::config
