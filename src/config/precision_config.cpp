#include "config/precision_config.h"

namespace deepspeed::config {

namespace {
constexpr double kLargestScalePower = 126;  // a larger power of two is infinite in fp32
}

Fields fields(Fp16Config& config) {
  return {
      field("enabled", config.enabled),
      field("auto_cast", config.auto_cast),
      field("loss_scale", config.loss_scale).at_least(0),
      field("initial_scale_power", config.initial_scale_power).between(0, kLargestScalePower),
      field("loss_scale_window", config.loss_scale_window).at_least(0),
      field("hysteresis", config.hysteresis).at_least(1),
      field("consecutive_hysteresis", config.consecutive_hysteresis),
      field("min_loss_scale", config.min_loss_scale).at_least(0),
      field("fp16_master_weights_and_grads", config.fp16_master_weights_and_grads),
  };
}

Fields fields(Bf16Config& config) {
  return {
      field("enabled", config.enabled),
      field("immediate_grad_update", config.immediate_grad_update),
      field("check_grad_overflow", config.check_grad_overflow),
      field("bf16_master_weights_and_grads", config.bf16_master_weights_and_grads),
      field("bf16_optimizer_states", config.bf16_optimizer_states),
  };
}

Fields fields(TorchAutocastConfig& config) {
  return {
      field("enabled", config.enabled),
      field("dtype", config.dtype)
          .one_of({"float16", "fp16", "half", "bfloat16", "bf16", "float32", "fp32", "float", "int8", "torch.float16",
                   "torch.half", "torch.bfloat16", "torch.float32", "torch.float", "torch.int8"}),
      field("lower_precision_safe_modules", config.lower_precision_safe_modules),
  };
}

Fields fields(DataTypesConfig& config) {
  return {
      field("grad_accum_dtype", config.grad_accum_dtype),
      field("param_dtype", config.param_dtype),
      field("buffer_dtype", config.buffer_dtype),
      field("keep_in_fp32_modules", config.keep_in_fp32_modules),
  };
}

}  // namespace deepspeed::config
