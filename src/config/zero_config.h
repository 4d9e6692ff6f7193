// Section zero_optimization: what is sharded, what is offloaded, and the sizes of the buckets. Sizes are in elements.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/field.h"

namespace deepspeed::config {

struct OffloadParamConfig {
  std::string device = "none";           ///< none, cpu or nvme
  std::optional<std::string> nvme_path;  ///< folder for the swap files
  int64_t buffer_count = 5;
  int64_t buffer_size = 100'000'000;
  int64_t max_in_cpu = 1'000'000'000;  ///< elements kept in host memory under nvme
  bool pin_memory = true;
};

struct OffloadOptimizerConfig {
  std::string device = "none";           ///< none, cpu or nvme
  std::optional<std::string> nvme_path;  ///< folder for the swap files
  int64_t buffer_count = 4;
  bool pin_memory = true;
  bool pipeline_read = false;   ///< read the next unit while this one is stepped
  bool pipeline_write = false;  ///< write the last unit while this one is stepped
  bool fast_init = false;
  double ratio = 1.0;  ///< share of the parameters whose step runs on the host; stage 3
  bool super_offload = false;
  double cpuadam_cores_perc = 0.8;
};

struct ZenFlowConfig {
  double topk_ratio = 0.1;
  std::string select_strategy = "auto";    ///< auto, step or epoch
  std::optional<int64_t> select_interval;  ///< absent: auto
  std::optional<int64_t> update_interval;  ///< absent: auto
  bool overlap_step = false;
  bool offload = false;
  double auto_ratio = 0.99;
  int64_t full_warm_up_rounds = 0;
  double pt_reserved_cores_perc = 0.5;
  std::optional<int64_t> steps_per_epoch;
};

struct LeafModuleConfig {
  std::vector<std::string> classes = {"transformers.models.mixtral.modeling_mixtral.MixtralSparseMoeBlock",
                                      "transformers.models.qwen2_moe.modeling_qwen2_moe.Qwen2MoeSparseMoeBlock",
                                      "transformers.models.qwen3_moe.modeling_qwen3_moe.Qwen3MoeSparseMoeBlock"};
  std::vector<std::string> names;
  std::vector<std::string> name_suffixes;
};

struct ZeroppLocoConfig {
  double err_beta = 0.8;
  int64_t reset_T = 1024;
};

struct ZeroConfig {
  int64_t stage = 0;  ///< 0: nothing is sharded; 1: optimizer; 2: gradients; 3: parameters
  bool contiguous_gradients = true;
  bool reduce_scatter = true;
  int64_t reduce_bucket_size = 500'000'000;  ///< gradients that are reduced together
  bool use_multi_rank_bucket_allreduce = true;
  bool allgather_partitions = true;
  int64_t allgather_bucket_size = 500'000'000;  ///< parameters that are gathered together; even
  std::optional<bool> overlap_comm;             ///< reduce while backward goes on; absent: yes
  bool compute_grad_norm = true;
  bool load_from_fp32_weights = true;
  bool elastic_checkpoint = false;
  std::optional<OffloadParamConfig> offload_param;
  std::optional<OffloadOptimizerConfig> offload_optimizer;
  std::optional<ZenFlowConfig> zenflow;
  LeafModuleConfig leaf_module;
  int64_t sub_group_size = 1'000'000'000;
  std::optional<bool> cpu_offload;                 ///< deprecated: offload_optimizer.device
  std::optional<bool> cpu_offload_param;           ///< deprecated: offload_param.device
  std::optional<bool> cpu_offload_use_pin_memory;  ///< deprecated, without effect
  int64_t stage3_prefetch_bucket_size = 50'000'000;
  int64_t stage3_param_persistence_threshold = 100'000;  ///< smaller parameters are never sharded
  int64_t stage3_model_persistence_threshold = INT64_MAX;
  int64_t stage3_max_live_parameters = 1'000'000'000;
  int64_t stage3_max_reuse_distance = 1'000'000'000;
  bool stage3_gather_16bit_weights_on_model_save = false;
  int64_t stage3_module_granularity_threshold = 0;
  bool stage3_use_all_reduce_for_fetch_params = false;
  bool stage3_allgather_sequential = false;
  bool ignore_unused_parameters = true;
  bool legacy_stage1 = false;
  bool round_robin_gradients = false;
  bool parameter_alignment = false;
  int64_t zero_hpz_partition_size = 1;  ///< ranks that share a second copy of the shards
  bool zero_quantized_weights = false;
  bool zero_quantized_nontrainable_weights = false;
  bool zero_quantized_gradients = false;
  bool memory_efficient_linear = true;
  bool pipeline_loading_checkpoint = false;
  bool override_module_apply = true;
  bool log_trace_cache_warnings = false;
  bool enable_sanity_checks = false;
  bool save_muon_momentum_buffer_in_memory = false;
  int64_t mics_shard_size = -1;  ///< of DeepSpeed up to 0.19.6
  bool mics_hierarchical_params_gather = false;
  std::optional<ZeroppLocoConfig> zeropp_loco_param;
};

Fields fields(OffloadParamConfig& config);
Fields fields(OffloadOptimizerConfig& config);
Fields fields(ZenFlowConfig& config);
Fields fields(LeafModuleConfig& config);
Fields fields(ZeroppLocoConfig& config);
Fields fields(ZeroConfig& config);

}  // namespace deepspeed::config
