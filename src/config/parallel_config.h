// How a model is cut: sections tensor_parallel, pipeline, activation_checkpointing, hybrid_engine, compile.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "config/field.h"

namespace deepspeed::config {

/// tensor_parallel.tensor_parallel
struct TensorParallelGroupConfig {
  int64_t tp_size = 1;
  int64_t tp_grain_size = 1;  ///< cuts fall on multiples of this
  nlohmann::json mpu;         ///< Python objects: null in a file
  nlohmann::json tp_group;
};

/// One rule of tensor_parallel.partition_config: which parameters, cut how.
struct LayerSpecConfig {
  std::vector<std::string> patterns;  ///< regular expressions on parameter names, the first match wins
  std::string partition_type = "column";
  nlohmann::json shape;
  std::optional<int64_t> partition_dim;
  bool gather_output = false;
  bool grad_allreduce = false;
  std::optional<std::vector<std::string>> model_types;
};

struct PartitionConfig {
  bool use_default_specs = true;
  bool strict_mode = false;
  int64_t tp_size = 1;
  int64_t embedding_partition_dim = 1;
  std::vector<std::string> lm_head_patterns = {"lm_head", "embed_out"};
  std::vector<LayerSpecConfig> layer_specs;
};

struct TensorParallelConfig {
  int64_t autotp_size = 0;  ///< above 1: the model is cut at initialize
  core::Dtype dtype = core::Dtype::kFloat16;
  bool tp_overlap_comm = false;
  std::optional<bool> vocab_parallel_lm_head;
  std::string vocab_parallel_ce_backend = "torch";
  TensorParallelGroupConfig tensor_parallel;
  nlohmann::json injection_policy_tuple;
  bool keep_module_on_host = false;
  bool replace_with_kernel_inject = false;
  std::optional<std::string> preset_model;
  std::optional<PartitionConfig> partition_config;
};

struct PipelineConfig {
  std::optional<int64_t> stages;  ///< absent: auto
  std::string partition = "best";
  bool seed_layers = false;
  int64_t activation_checkpoint_interval = 0;  ///< layers between two checkpoints; 0: the module's own value
  bool use_reentrant = true;
  bool pipe_partitioned = true;
  bool grad_partitioned = true;
};

struct ActivationCheckpointingConfig {
  bool partition_activations = false;  ///< split saved activations over tensor-parallel ranks
  bool contiguous_memory_optimization = false;
  bool cpu_checkpointing = false;
  std::optional<int64_t> number_checkpoints;
  bool synchronize_checkpoint_boundary = false;
  bool profile = false;
};

struct HybridEngineConfig {
  bool enabled = false;
  int64_t max_out_tokens = 512;
  int64_t inference_tp_size = 1;
  bool release_inference_cache = false;
  bool pin_parameters = true;
  int64_t tp_gather_partition_size = 8;
  bool enable_cuda_graph = false;
};

struct CompileConfig {
  bool deepcompile = false;
  bool autoep_non_moe = false;
  bool free_activation = false;
  bool offload_activation = false;
  bool offload_opt_states = false;
  bool symmetric_memory = false;
  bool debug_log = false;
  bool offload_parameters = false;
  bool sync_before_reduce = false;
  bool sync_after_reduce = false;
  bool sync_before_allgather = false;
  bool sync_after_allgather = false;
  bool keep_all_input_tensors = false;
  bool offload_activation_pin_memory = true;
  bool double_buffer = true;
  bool keep_int_input_tensors = true;
  int64_t free_activation_threshold = 10 << 20;
  std::optional<std::vector<std::string>> passes;  ///< z1, z3, autosp, autotp
};

Fields fields(TensorParallelGroupConfig& config);
Fields fields(LayerSpecConfig& config);
Fields fields(PartitionConfig& config);
Fields fields(TensorParallelConfig& config);
Fields fields(PipelineConfig& config);
Fields fields(ActivationCheckpointingConfig& config);
Fields fields(HybridEngineConfig& config);
Fields fields(CompileConfig& config);

}  // namespace deepspeed::config
