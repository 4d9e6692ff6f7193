// From JSON keys to options.
#include "engine/engine_options.h"

#include "deepspeed/error.h"

namespace deepspeed::engine {

zero::Options zero_options(const config::Config& config) {
  zero::Options options;
  options.lifetimes = plan::stage_lifetimes(static_cast<int>(config.zero_optimization.stage));
  if (config.fp16.enabled) options.compute_dtype = core::Dtype::kFloat16;
  if (config.bf16.enabled) options.compute_dtype = core::Dtype::kBFloat16;
  options.accumulation_dtype = config.data_types.grad_accum_dtype;
  options.communication_dtype = config.communication_data_type;
  options.overlap_comm = config.zero_optimization.overlap_comm.value_or(true);
  options.reduce_bucket_size = config.zero_optimization.reduce_bucket_size;
  options.allgather_bucket_size = config.zero_optimization.allgather_bucket_size;
  options.persistence_threshold = config.zero_optimization.stage3_param_persistence_threshold;
  options.model_persistence_threshold = config.zero_optimization.stage3_model_persistence_threshold;
  options.max_live_parameters = config.zero_optimization.stage3_max_live_parameters;
  options.prefetch_bucket_size = config.zero_optimization.stage3_prefetch_bucket_size;
  options.average_over_ranks = config.gradient_allreduce_op == "mean";
  if (config.prescale_gradients) options.predivide_factor = config.gradient_predivide_factor;
  return options;
}

bool releases_parameters(const config::Config& config) {
  return zero_options(config).lifetimes.parameters == plan::Lifetime::kBoundForUse;
}

precision::LossScaler make_loss_scaler(const config::Config& config) {
  if (!config.fp16.enabled) return {};
  return precision::LossScaler({.loss_scale = config.fp16.loss_scale,
                                .initial_scale_power = config.fp16.initial_scale_power,
                                .loss_scale_window = config.fp16.loss_scale_window,
                                .hysteresis = config.fp16.hysteresis,
                                .min_loss_scale = static_cast<double>(config.fp16.min_loss_scale),
                                .consecutive_hysteresis = config.fp16.consecutive_hysteresis});
}

bool checks_overflow(const config::Config& config) { return !config.bf16.enabled || config.bf16.check_grad_overflow; }

}  // namespace deepspeed::engine
