// The numbers of one optimizer group, and how they are read from a config's "optimizer" section.
#pragma once

#include <array>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace deepspeed::optim {

/// One group's numbers at one boundary. An optimizer reads those that concern it.
struct Hyperparameters {
  double lr = 1e-3;
  double weight_decay = 0.0;
  std::array<double, 2> betas = {0.9, 0.999};
  double eps = 1e-8;
  double momentum = 0.0;
  double dampening = 0.0;
  bool nesterov = false;
  bool maximize = false;
  bool amsgrad = false;
  bool bias_correction = true;
  bool adam_w_mode = true;  ///< decoupled weight decay; false: weight decay is added to the gradient
  double lr_decay = 0.0;
  double initial_accumulator_value = 0.0;
  double max_coeff = 10.0;  ///< LAMB: the trust ratio stays within [min_coeff, max_coeff]
  double min_coeff = 0.01;
  bool eps_inside_sqrt = false;
};

/// The defaults of an optimizer, DeepSpeed's where it has the optimizer, else torch's.
/// `type` as in a config, any case. Throws ConfigError that lists the known types.
Hyperparameters default_hyperparameters(std::string_view type);

/// `params` of config section "optimizer": the defaults, overwritten by what is there. "Adam" means AdamW unless
/// adam_w_mode is false, and "AdamW" always does, as in DeepSpeed; with torch_adam the weight decay defaults to
/// torch's. Flags that choose between implementations of the same numbers (torch_adam, fused, foreach, capturable,
/// differentiable, fp32_optimizer_states, set_grad_none) are accepted. Throws ConfigError that names an unknown or
/// wrong parameter and the known ones.
Hyperparameters parse_hyperparameters(std::string_view type, const nlohmann::json& params);

/// Throws ConfigError where a number is out of its range (negative lr, beta outside [0, 1), ...).
void check_hyperparameters(std::string_view type, const Hyperparameters& values);

}  // namespace deepspeed::optim
