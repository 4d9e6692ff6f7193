#include "config/optimizer_config.h"

#include <algorithm>

namespace deepspeed::config {

namespace {

Fields adam_parameters(ParameterSlots& slots) {
  return {
      field("lr", slots.number).at_least(0),
      field("betas", slots.numbers).items(2).at_least(0).below(1),
      field("eps", slots.number).at_least(0),
      field("weight_decay", slots.number).at_least(0),
      field("bias_correction", slots.flag),
      field("amsgrad", slots.flag),
      field("torch_adam", slots.flag),
      field("adam_w_mode", slots.flag),
      field("fp32_optimizer_states", slots.flag),
      field("set_grad_none", slots.flag),
      field("foreach", slots.flag),
      field("fused", slots.flag),
      field("maximize", slots.flag),
      field("capturable", slots.flag),
      field("differentiable", slots.flag),
  };
}

Fields sgd_parameters(ParameterSlots& slots) {
  return {
      field("lr", slots.number).at_least(0), field("momentum", slots.number).at_least(0),
      field("dampening", slots.number),      field("weight_decay", slots.number).at_least(0),
      field("nesterov", slots.flag),         field("maximize", slots.flag),
      field("foreach", slots.flag),          field("fused", slots.flag),
      field("differentiable", slots.flag),
  };
}

Fields adagrad_parameters(ParameterSlots& slots) {
  return {
      field("lr", slots.number).at_least(0),
      field("lr_decay", slots.number).at_least(0),
      field("eps", slots.number).at_least(0),
      field("weight_decay", slots.number).at_least(0),
      field("initial_accumulator_value", slots.number).at_least(0),
      field("amsgrad", slots.flag),
      field("fp32_optimizer_states", slots.flag),
      field("maximize", slots.flag),
      field("foreach", slots.flag),
      field("fused", slots.flag),
      field("differentiable", slots.flag),
  };
}

Fields lion_parameters(ParameterSlots& slots) {
  return {
      field("lr", slots.number).at_least(0),           field("betas", slots.numbers).items(2).at_least(0).below(1),
      field("weight_decay", slots.number).at_least(0), field("set_grad_none", slots.flag),
      field("fp32_optimizer_states", slots.flag),
  };
}

Fields lamb_parameters(ParameterSlots& slots) {
  return {
      field("lr", slots.number).at_least(0),
      field("betas", slots.numbers).items(2).at_least(0).below(1),
      field("eps", slots.number).at_least(0),
      field("eps_inside_sqrt", slots.flag),
      field("weight_decay", slots.number).at_least(0),
      field("bias_correction", slots.flag),
      field("max_coeff", slots.number).at_least(0),
      field("min_coeff", slots.number).at_least(0),
      field("amsgrad", slots.flag),
  };
}

Fields one_cycle_parameters(ParameterSlots& slots) {
  return {
      field("cycle_min_lr", slots.numbers).at_least(0),
      field("cycle_max_lr", slots.numbers).at_least(0),
      field("decay_lr_rate", slots.number).at_least(0),
      field("cycle_first_step_size", slots.integer).at_least(1),
      field("cycle_second_step_size", slots.integer).at_least(1),
      field("cycle_first_stair_count", slots.integer).at_least(0),
      field("cycle_second_stair_count", slots.integer).at_least(0),
      field("decay_step_size", slots.integer).at_least(0),
      field("cycle_momentum", slots.flag),
      field("cycle_min_mom", slots.number).at_least(0),
      field("cycle_max_mom", slots.number).at_least(0),
      field("decay_mom_rate", slots.number).at_least(0),
      field("last_batch_iteration", slots.integer).at_least(-1),
  };
}

Fields range_test_parameters(ParameterSlots& slots) {
  return {
      field("lr_range_test_min_lr", slots.numbers).at_least(0),
      field("lr_range_test_step_size", slots.integer).at_least(1),
      field("lr_range_test_step_rate", slots.number).at_least(0),
      field("lr_range_test_staircase", slots.flag),
      field("last_batch_iteration", slots.integer).at_least(-1),
  };
}

Fields warmup_parameters(ParameterSlots& slots, bool has_total) {
  Fields list = {
      field("warmup_min_lr", slots.numbers).at_least(0),
      field("warmup_max_lr", slots.numbers).at_least(0),
      field("warmup_num_steps", slots.integer).at_least(0),
      field("warmup_type", slots.text).one_of({"log", "linear"}),
      field("last_batch_iteration", slots.integer).at_least(-1),
  };
  if (has_total) list.push_back(field("total_num_steps", slots.integer).at_least(0));
  return list;
}

Fields cosine_parameters(ParameterSlots& slots) {
  return {
      field("total_num_steps", slots.integer).at_least(0),
      field("warmup_min_ratio", slots.number).at_least(0),
      field("warmup_num_steps", slots.integer).at_least(0),
      field("cos_min_ratio", slots.number).at_least(0),
      field("warmup_type", slots.text).one_of({"log", "linear"}),
      field("last_batch_iteration", slots.integer).at_least(-1),
  };
}

}  // namespace

Fields fields(OptimizerConfig& config) {
  return {
      field("type", config.type),
      field("params", config.params).object(),
      field("legacy_fusion", config.legacy_fusion),
  };
}

Fields fields(SchedulerConfig& config) {
  return {
      field("type", config.type),
      field("params", config.params).object(),
  };
}

Fields optimizer_parameters(const std::string& type, ParameterSlots& slots) {
  if (type == "adam" || type == "adamw") return adam_parameters(slots);
  if (type == "sgd") return sgd_parameters(slots);
  if (type == "adagrad") return adagrad_parameters(slots);
  if (type == "lion") return lion_parameters(slots);
  if (type == "lamb") return lamb_parameters(slots);
  return {};
}

Fields scheduler_parameters(const std::string& type, ParameterSlots& slots) {
  if (type == "LRRangeTest") return range_test_parameters(slots);
  if (type == "OneCycle") return one_cycle_parameters(slots);
  if (type == "WarmupLR") return warmup_parameters(slots, false);
  if (type == "WarmupDecayLR") return warmup_parameters(slots, true);
  if (type == "WarmupCosineLR") return cosine_parameters(slots);
  return {};
}

std::vector<std::string> required_scheduler_parameters(const std::string& type) {
  if (type == "OneCycle") return {"cycle_min_lr", "cycle_max_lr"};
  if (type == "WarmupDecayLR" || type == "WarmupCosineLR") return {"total_num_steps"};
  return {};
}

const std::vector<std::string>& optimizer_names() {
  static const std::vector<std::string> kNames = {
      "adam",    "adamw", "sgd",        "adagrad",     "lion",       "lamb",     "muon",      "muadam",
      "muadamw", "musgd", "OneBitAdam", "ZeroOneAdam", "OneBitLamb", "Adadelta", "Adafactor", "Adamax",
      "ASGD",    "LBFGS", "NAdam",      "RAdam",       "RMSprop",    "Rprop",    "SparseAdam"};
  return kNames;
}

const std::vector<std::string>& scheduler_names() {
  static const std::vector<std::string> kNames = {"LRRangeTest",
                                                  "OneCycle",
                                                  "WarmupLR",
                                                  "WarmupDecayLR",
                                                  "WarmupCosineLR",
                                                  "LambdaLR",
                                                  "StepLR",
                                                  "MultiStepLR",
                                                  "MultiplicativeLR",
                                                  "ConstantLR",
                                                  "LinearLR",
                                                  "ExponentialLR",
                                                  "SequentialLR",
                                                  "PolynomialLR",
                                                  "CosineAnnealingLR",
                                                  "ChainedScheduler",
                                                  "CyclicLR",
                                                  "OneCycleLR",
                                                  "SWALR",
                                                  "ReduceLROnPlateau",
                                                  "CosineAnnealingWarmRestarts"};
  return kNames;
}

}  // namespace deepspeed::config
