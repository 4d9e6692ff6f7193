// check_config: what one value says about another. Old forms are mapped to new ones first.
#include "config/config.h"
#include "config/optimizer_rules.h"
#include "deepspeed/error.h"

namespace deepspeed::config {
namespace {

// One cpu_offload flag of old into the section that replaced it.
template <class Offload>
void map_cpu_offload(Config& config, const std::string& old_key, const std::optional<bool>& flag,
                     const std::string& new_key, std::optional<Offload>& offload) {
  const std::string old_path = "zero_optimization." + old_key;
  const std::string new_path = "zero_optimization." + new_key;
  if (!flag || config.provenance.origin(new_path + ".device") == Origin::kDeprecated) return;
  if (offload) {
    config.provenance.fail(old_path, concat("stands beside ", new_path, ", which replaces it. Remove ", old_key, "."));
  }
  offload.emplace().device = *flag ? "cpu" : "none";
  config.provenance.set(new_path + ".device", Origin::kDeprecated, old_path);
  config.warnings.push_back(
      concat(old_path, " is deprecated. Write \"", new_key, "\": {\"device\": \"", offload->device, "\"}."));
}

void map_old_forms(Config& config) {
  auto& zero = config.zero_optimization;
  const auto& from = config.provenance;
  map_cpu_offload(config, "cpu_offload", zero.cpu_offload, "offload_optimizer", zero.offload_optimizer);
  map_cpu_offload(config, "cpu_offload_param", zero.cpu_offload_param, "offload_param", zero.offload_param);
  if (zero.cpu_offload_use_pin_memory) {
    config.warnings.push_back(
        "zero_optimization.cpu_offload_use_pin_memory is deprecated and has no effect. Use "
        "offload_optimizer.pin_memory "
        "and offload_param.pin_memory.");
  }
  if (config.aio.thread_count) {
    config.warnings.push_back("aio.thread_count is deprecated and has no effect. Use aio.intra_op_parallelism.");
  }
  if (from.given("allgather_size")) {
    if (from.origin("zero_optimization") == Origin::kDeprecated) zero.allgather_bucket_size = config.allgather_size;
    config.warnings.push_back(
        "allgather_size is deprecated and read only beside a bare \"zero_optimization\": true. Use "
        "zero_optimization.allgather_bucket_size.");
  }
  const bool logger_switch_given = from.origin("comms_logger.enabled") != Origin::kDefault;
  if (from.given("comms_logger") && !logger_switch_given) {
    config.comms_logger.enabled = true;
    config.provenance.set("comms_logger.enabled", Origin::kDerived, "the section is there");
  }
}

void check_param_dtype(const Config& config) {
  const auto dtype = config.data_types.param_dtype;
  if (!dtype) return;
  const auto mode = config.fp16.enabled   ? core::Dtype::kFloat16
                    : config.bf16.enabled ? core::Dtype::kBFloat16
                                          : core::Dtype::kFloat32;
  if (*dtype == mode) return;
  config.provenance.fail("data_types.param_dtype",
                         concat("got \"", core::dtype_name(*dtype), "\", but the fp16 and bf16 sections ask for ",
                                core::dtype_name(mode), ". Remove the key or switch the right section on."));
}

void check_precision(const Config& config) {
  const auto& from = config.provenance;
  const auto& fp16 = config.fp16;
  const auto& bf16 = config.bf16;
  const bool is_sharded = config.zero_optimization.stage >= 1;
  if (fp16.enabled && bf16.enabled) {
    from.fail("fp16.enabled",
              concat("fp16 and bf16 are both enabled", from.location("bf16.enabled"), ". Switch one of them off."));
  }
  if (fp16.loss_scale == 0 && fp16.loss_scale_window < 1) {
    from.fail("fp16.loss_scale_window", "got 0, expected at least 1 with a dynamic loss scale (fp16.loss_scale 0)");
  }
  if (fp16.loss_scale == 0 && fp16.min_loss_scale < 1) {
    from.fail("fp16.min_loss_scale", "got 0, expected at least 1 with a dynamic loss scale (fp16.loss_scale 0)");
  }
  const auto needs_zero = [&](bool flag, const char* path) {
    if (flag && !is_sharded) from.fail(path, "needs zero_optimization.stage 1, 2 or 3, got stage 0");
  };
  needs_zero(fp16.fp16_master_weights_and_grads, "fp16.fp16_master_weights_and_grads");
  needs_zero(bf16.bf16_master_weights_and_grads, "bf16.bf16_master_weights_and_grads");
  needs_zero(bf16.bf16_optimizer_states, "bf16.bf16_optimizer_states");
  if (bf16.bf16_optimizer_states && !bf16.bf16_master_weights_and_grads) {
    from.fail("bf16.bf16_optimizer_states", "needs \"bf16_master_weights_and_grads\": true in the same section");
  }
  check_param_dtype(config);
}

void check_zero(const Config& config) {
  const auto& from = config.provenance;
  const auto& zero = config.zero_optimization;
  if (zero.allgather_bucket_size % 2 != 0) {
    from.fail("zero_optimization.allgather_bucket_size",
              concat("got ", zero.allgather_bucket_size, ", expected an even number"));
  }
  if (zero.offload_optimizer && zero.offload_optimizer->ratio < 1 && zero.stage != 3) {
    from.fail("zero_optimization.offload_optimizer.ratio",
              concat("got ", zero.offload_optimizer->ratio, " at stage ", zero.stage,
                     ", expected 1: a partial offload needs stage 3"));
  }
  if (!zero.compute_grad_norm && zero.stage != 1 && zero.stage != 2) {
    from.fail("zero_optimization.compute_grad_norm",
              concat("got false at stage ", zero.stage, ", which is possible at stages 1 and 2 only"));
  }
  if (zero.legacy_stage1) {
    from.fail("zero_optimization.legacy_stage1", "got true, but the old stage 1 is gone. Remove the key.");
  }
  const bool needs_mean = zero.stage == 3 || zero.zenflow || config.compile.deepcompile;
  if (config.gradient_allreduce_op == "sum" && needs_mean) {
    from.fail("gradient_allreduce_op",
              "got \"sum\", expected \"mean\" with zero_optimization.stage 3, zenflow or compile.deepcompile");
  }
}

void check_nvme(const Config& config) {
  const auto check = [&](const auto& offload, const std::string& section) {
    if (offload && offload->device == "nvme" && !offload->nvme_path) {
      config.provenance.fail(section + ".device", "got \"nvme\" without a folder. Add \"nvme_path\" to the section.");
    }
  };
  check(config.zero_optimization.offload_param, "zero_optimization.offload_param");
  check(config.zero_optimization.offload_optimizer, "zero_optimization.offload_optimizer");
}

void check_sections(Config& config) {
  const auto& from = config.provenance;
  const auto& activations = config.activation_checkpointing;
  if (activations.contiguous_memory_optimization &&
      !(activations.partition_activations && activations.number_checkpoints)) {
    from.fail("activation_checkpointing.contiguous_memory_optimization",
              "needs \"partition_activations\": true and \"number_checkpoints\" in the same section");
  }
  const auto& experts = config.expert_parallel;
  if (experts.load_balance_coeff) {
    from.fail("expert_parallel.load_balance_coeff", "is not supported, by DeepSpeed neither. Remove the key.");
  }
  if (experts.enabled && experts.comm_backend == "deepep" && experts.comm_max_tokens_per_rank < 1) {
    from.fail("expert_parallel.comm_backend", "\"deepep\" needs \"comm_max_tokens_per_rank\" above 0");
  }
  const auto& curriculum = config.data_efficiency.data_sampling.curriculum_learning;
  if (curriculum.enabled && curriculum.curriculum_metrics.empty()) {
    from.fail("data_efficiency.data_sampling.curriculum_learning.enabled", "needs \"curriculum_metrics\" beside it");
  }
  const auto& routing = config.data_efficiency.data_routing.random_ltd;
  if (routing.layer_token_lr_schedule.enabled) {
    from.fail("data_efficiency.data_routing.random_ltd.layer_token_lr_schedule.enabled",
              "got true, which is not supported, by DeepSpeed neither. Use false.");
  }
  const TraceConfig& trace = config.trace;
  if (trace.steps.front() > trace.steps.back()) {
    from.fail("trace.steps", concat("got [", trace.steps.front(), ", ", trace.steps.back(),
                                    "], expected the first step to record and then the last"));
  }
  if (trace.enabled && trace.path.empty()) from.fail("trace.path", "got \"\", expected a folder");
  if (config.vocabulary_size.value_or(0) % 8 != 0) {
    config.warnings.push_back(concat("vocabulary_size: ", *config.vocabulary_size,
                                     " is no multiple of 8; matrix products may be slower than with a padded one."));
  }
}

}  // namespace

void check_config(Config& config) {
  map_old_forms(config);
  check_precision(config);
  check_zero(config);
  check_nvme(config);
  check_sections(config);
  check_optimizer(config);
  check_scheduler(config);
}

}  // namespace deepspeed::config
