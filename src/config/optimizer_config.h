// Sections optimizer and scheduler: a name and its keyword arguments, which are checked for the names that we build.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "config/field.h"

namespace deepspeed::config {

struct OptimizerConfig {
  std::string type;       ///< "adam", "adamw", "sgd", "adagrad", "lion", "lamb", else the exact class of torch.optim
  nlohmann::json params;  ///< an object: keyword arguments, without those that were "auto"
  bool legacy_fusion = false;
};

struct SchedulerConfig {
  std::string type;       ///< WarmupLR and its kin as spelt by DeepSpeed, else a class of torch.optim.lr_scheduler
  nlohmann::json params;  ///< as above
};

Fields fields(OptimizerConfig& config);
Fields fields(SchedulerConfig& config);

/// What one keyword argument takes. One struct serves them all: the values live in `params`.
struct ParameterSlots {
  std::optional<double> number;
  std::optional<int64_t> integer;
  std::optional<bool> flag;
  std::optional<std::string> text;
  std::vector<double> numbers;
};

/// The arguments that `type` takes, or none where its arguments are not ours to know (other torch classes).
Fields optimizer_parameters(const std::string& type, ParameterSlots& slots);
Fields scheduler_parameters(const std::string& type, ParameterSlots& slots);

/// Arguments without which the scheduler cannot be built.
std::vector<std::string> required_scheduler_parameters(const std::string& type);

/// All names that are known, DeepSpeed's and torch's.
const std::vector<std::string>& optimizer_names();
const std::vector<std::string>& scheduler_names();

}  // namespace deepspeed::config
