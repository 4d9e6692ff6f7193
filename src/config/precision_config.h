// Number formats: sections fp16, bf16, torch_autocast, data_types.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/field.h"

namespace deepspeed::config {

struct Fp16Config {
  bool enabled = false;
  bool auto_cast = true;                       ///< cast the engine's float32 inputs to half; DeepSpeed: off by default
  double loss_scale = 0;                       ///< 0: dynamic
  int64_t initial_scale_power = 16;            ///< the dynamic scale starts at two to this power
  int64_t loss_scale_window = 1000;            ///< good steps before the scale doubles
  int64_t hysteresis = 2;                      ///< overflows before the scale halves
  bool consecutive_hysteresis = false;         ///< every good step refills the hysteresis
  int64_t min_loss_scale = 1;                  ///< the dynamic scale never falls below
  bool fp16_master_weights_and_grads = false;  ///< master weights in 16 bits; needs ZeRO 1 to 3
};

struct Bf16Config {
  bool enabled = false;
  bool immediate_grad_update = false;          ///< add each gradient to its sum in its hook
  bool check_grad_overflow = true;             ///< skip a step whose gradients hold inf or nan
  bool bf16_master_weights_and_grads = false;  ///< master weights in 16 bits; needs ZeRO 1 to 3
  bool bf16_optimizer_states = false;          ///< moments in 16 bits; needs the previous key
};

struct TorchAutocastConfig {
  bool enabled = false;              ///< forward runs under torch.autocast
  std::optional<std::string> dtype;  ///< fp16, bf16, fp32 or int8, in any of torch's spellings
  std::optional<std::vector<std::string>> lower_precision_safe_modules;  ///< class paths; absent: Linear and Conv
};

struct DataTypesConfig {
  std::optional<core::Dtype> grad_accum_dtype;                   ///< of summed gradients; absent: fp32 under bf16
  std::optional<core::Dtype> param_dtype;                        ///< must agree with the fp16 and bf16 sections
  std::optional<core::Dtype> buffer_dtype;                       ///< absent: buffers stay as they are
  std::optional<std::vector<std::string>> keep_in_fp32_modules;  ///< buffers kept in fp32; absent: as the model says
};

Fields fields(Fp16Config& config);
Fields fields(Bf16Config& config);
Fields fields(TorchAutocastConfig& config);
Fields fields(DataTypesConfig& config);

}  // namespace deepspeed::config
