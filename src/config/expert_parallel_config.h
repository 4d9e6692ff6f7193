// Section expert_parallel: how the experts of a mixture-of-experts model are found and spread over ranks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "config/field.h"

namespace deepspeed::config {

struct ExpertParallelConfig {
  bool enabled = false;
  int64_t autoep_size = 1;  ///< ranks that share one set of experts
  int64_t expert_tensor_parallel_size = 1;
  std::optional<std::string> preset_model;  ///< a known family; the overrides below refine it
  bool validate_folding_routing = false;
  bool async_split_plan = false;
  bool disable_triton_grouped_mm = false;
  bool use_grouped_mm = true;
  std::optional<std::string> moe_layer_pattern;
  std::optional<std::string> expert_pattern;
  std::optional<std::string> router_pattern;
  std::optional<std::string> expert_w1;
  std::optional<std::string> expert_w2;
  std::optional<std::string> expert_w3;  ///< null: fused into w1; absent: as the preset says
  std::optional<std::string> num_experts_attr;
  std::optional<std::string> top_k_attr;
  std::optional<bool> has_shared_experts;
  std::optional<std::string> shared_experts_pattern;
  std::optional<std::string> shared_experts_gate_pattern;
  std::optional<std::string> expert_activation;
  std::optional<bool> route_norm;
  std::optional<int64_t> num_expert_groups;
  std::optional<int64_t> num_limited_groups;
  double route_scale = 1.0;
  std::string score_apply = "auto";
  std::string score_func = "auto";
  std::optional<int64_t> top_k;                 ///< absent: auto
  std::optional<double> routed_scaling_factor;  ///< absent: auto
  std::string combine_impl = "auto";
  std::string row_weighting_impl = "auto";
  std::string gate_up_impl = "separate";
  std::string comm_backend = "comm";
  int64_t comm_num_sm = 12;
  int64_t comm_qp_margin = 4;
  int64_t comm_max_tokens_per_rank = 0;      ///< deepep needs it
  std::optional<double> load_balance_coeff;  ///< DeepSpeed refuses any value
};

Fields fields(ExpertParallelConfig& config);

}  // namespace deepspeed::config
