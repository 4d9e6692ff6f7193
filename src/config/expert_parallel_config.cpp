#include "config/expert_parallel_config.h"

namespace deepspeed::config {

Fields fields(ExpertParallelConfig& config) {
  return {
      field("enabled", config.enabled),
      field("autoep_size", config.autoep_size).at_least(1),
      field("expert_tensor_parallel_size", config.expert_tensor_parallel_size).at_least(1),
      field("preset_model", config.preset_model)
          .one_of({"mixtral", "qwen3_moe", "qwen3_5_moe", "deepseek_v2", "deepseek_v3", "minimax_m3"}),
      field("validate_folding_routing", config.validate_folding_routing),
      field("async_split_plan", config.async_split_plan),
      field("disable_triton_grouped_mm", config.disable_triton_grouped_mm),
      field("use_grouped_mm", config.use_grouped_mm),
      field("moe_layer_pattern", config.moe_layer_pattern),
      field("expert_pattern", config.expert_pattern),
      field("router_pattern", config.router_pattern),
      field("expert_w1", config.expert_w1),
      field("expert_w2", config.expert_w2),
      field("expert_w3", config.expert_w3),
      field("num_experts_attr", config.num_experts_attr),
      field("top_k_attr", config.top_k_attr),
      field("has_shared_experts", config.has_shared_experts),
      field("shared_experts_pattern", config.shared_experts_pattern),
      field("shared_experts_gate_pattern", config.shared_experts_gate_pattern),
      field("expert_activation", config.expert_activation),
      field("route_norm", config.route_norm),
      field("num_expert_groups", config.num_expert_groups).at_least(1),
      field("num_limited_groups", config.num_limited_groups).at_least(1),
      field("route_scale", config.route_scale),
      field("score_apply", config.score_apply).one_of({"auto", "pre", "post"}),
      field("score_func", config.score_func).one_of({"auto", "softmax", "sigmoid"}),
      field("top_k", config.top_k).at_least(1),
      field("routed_scaling_factor", config.routed_scaling_factor),
      field("combine_impl", config.combine_impl).one_of({"auto", "weighted_sum", "fused_weighted_sum", "legacy_bmm"}),
      field("row_weighting_impl", config.row_weighting_impl).one_of({"auto", "eager", "fused"}),
      field("gate_up_impl", config.gate_up_impl).one_of({"separate", "fused"}),
      field("comm_backend", config.comm_backend).one_of({"comm", "deepep"}),
      field("comm_num_sm", config.comm_num_sm).at_least(1),
      field("comm_qp_margin", config.comm_qp_margin).at_least(0),
      field("comm_max_tokens_per_rank", config.comm_max_tokens_per_rank).at_least(0),
      field("load_balance_coeff", config.load_balance_coeff),
  };
}

}  // namespace deepspeed::config
