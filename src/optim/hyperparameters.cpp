// Reading optimizer.params: a table of the known parameters, with the optimizers that have each.
#include "optim/hyperparameters.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "deepspeed/error.h"

namespace deepspeed::optim {
namespace {

using nlohmann::json;

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return std::tolower(c); });
  return result;
}

[[noreturn]] void fail(std::string_view parameter, const json& value, std::string_view expected) {
  throw ConfigError(
      concat("[optim] optimizer.params.", parameter, ": got ", value.dump(), ", expected ", expected, "."));
}

void read(std::string_view name, const json& value, double& to) {
  if (!value.is_number()) fail(name, value, "a number");
  to = value.get<double>();
}

void read(std::string_view name, const json& value, bool& to) {
  if (!value.is_boolean()) fail(name, value, "true or false");
  to = value.get<bool>();
}

void read(std::string_view name, const json& value, std::array<double, 2>& to) {
  if (!value.is_array() || value.size() != 2 || !value[0].is_number() || !value[1].is_number()) {
    fail(name, value, "two numbers, such as [0.9, 0.999]");
  }
  to = {value[0].get<double>(), value[1].get<double>()};
}

template <auto kMember>
void assign(std::string_view name, const json& value, Hyperparameters& values) {
  read(name, value, values.*kMember);
}

// Flags that pick among implementations of the same numbers: checked for their type, without effect here.
void accept_flag(std::string_view name, const json& value, Hyperparameters&) {
  if (!value.is_boolean() && !value.is_null()) fail(name, value, "true, false or null");
}

struct Parameter {
  std::string_view name;
  std::string_view types;  // each followed by a space
  void (*assign)(std::string_view name, const json& value, Hyperparameters& values);
};

constexpr std::string_view kAll = "adam adamw sgd adagrad lion lamb ";
constexpr std::string_view kAdam = "adam adamw ";

constexpr Parameter kParameters[] = {
    {"lr", kAll, &assign<&Hyperparameters::lr>},
    {"weight_decay", kAll, &assign<&Hyperparameters::weight_decay>},
    {"betas", "adam adamw lion lamb ", &assign<&Hyperparameters::betas>},
    {"eps", "adam adamw adagrad lamb ", &assign<&Hyperparameters::eps>},
    {"momentum", "sgd ", &assign<&Hyperparameters::momentum>},
    {"dampening", "sgd ", &assign<&Hyperparameters::dampening>},
    {"nesterov", "sgd ", &assign<&Hyperparameters::nesterov>},
    {"maximize", kAll, &assign<&Hyperparameters::maximize>},
    {"amsgrad", kAdam, &assign<&Hyperparameters::amsgrad>},
    {"bias_correction", "adam adamw lamb ", &assign<&Hyperparameters::bias_correction>},
    {"adam_w_mode", kAdam, &assign<&Hyperparameters::adam_w_mode>},
    {"lr_decay", "adagrad ", &assign<&Hyperparameters::lr_decay>},
    {"initial_accumulator_value", "adagrad ", &assign<&Hyperparameters::initial_accumulator_value>},
    {"max_coeff", "lamb ", &assign<&Hyperparameters::max_coeff>},
    {"min_coeff", "lamb ", &assign<&Hyperparameters::min_coeff>},
    {"eps_inside_sqrt", "lamb ", &assign<&Hyperparameters::eps_inside_sqrt>},
    {"torch_adam", kAdam, &accept_flag},
    {"fp32_optimizer_states", "adam adamw adagrad lion ", &accept_flag},
    {"set_grad_none", "adam adamw lion ", &accept_flag},
    {"fused", "adam adamw sgd adagrad ", &accept_flag},
    {"foreach", "adam adamw sgd adagrad ", &accept_flag},
    {"capturable", kAdam, &accept_flag},
    {"differentiable", "adam adamw sgd adagrad ", &accept_flag},
};

bool has_parameter(const Parameter& parameter, std::string_view type) {
  return parameter.types.find(concat(type, " ")) == 0 ||
         parameter.types.find(concat(" ", type, " ")) != std::string_view::npos;
}

std::string known_names(std::string_view type) {
  std::string names;
  for (const Parameter& parameter : kParameters) {
    if (has_parameter(parameter, type)) names += concat(names.empty() ? "" : ", ", parameter.name);
  }
  return names;
}

void check_range(bool holds, std::string_view parameter, double value, std::string_view expected) {
  DS_CHECK(holds, ConfigError, "[optim] optimizer.params.", parameter, ": got ", value, ", expected ", expected, ".");
}

}  // namespace

Hyperparameters default_hyperparameters(std::string_view type) {
  const std::string name = lower(type);
  DS_CHECK(concat(" ", kAll).find(concat(" ", name, " ")) != std::string::npos, ConfigError,
           "[optim] optimizer.type: got \"", type, "\", expected adam, adamw, sgd, adagrad, lion or lamb.");
  Hyperparameters values;
  if (name == "adagrad") {
    values.lr = 1e-2;
    values.eps = 1e-10;
  }
  return values;
}

Hyperparameters parse_hyperparameters(std::string_view type, const json& params) {
  const std::string name = lower(type);
  Hyperparameters values = default_hyperparameters(name);
  if (params.is_null()) return values;
  DS_CHECK(params.is_object(), ConfigError, "[optim] optimizer.params: got ", params.dump(), ", expected an object.");
  for (const auto& [key, value] : params.items()) {
    DS_CHECK(key != "max_grad_norm", ConfigError, "[optim] optimizer.params.max_grad_norm: got ", value.dump(),
             ", which no optimizer takes. Use the top-level key \"gradient_clipping\".");
    const auto parameter =
        std::ranges::find_if(kParameters, [&](const Parameter& p) { return p.name == key && has_parameter(p, name); });
    DS_CHECK(parameter != std::end(kParameters), ConfigError, "[optim] optimizer.params.", key, ": ", type,
             " has no such parameter, expected one of ", known_names(name), ".");
    parameter->assign(key, value, values);
  }
  if (name == "adamw") values.adam_w_mode = true;
  const bool torch_adam = params.contains("torch_adam") && params["torch_adam"] == true;
  if (torch_adam && values.adam_w_mode && !params.contains("weight_decay")) values.weight_decay = 0.01;
  check_hyperparameters(name, values);
  return values;
}

void check_hyperparameters(std::string_view type, const Hyperparameters& h) {
  check_range(h.lr >= 0.0, "lr", h.lr, "0 or more");
  check_range(h.weight_decay >= 0.0, "weight_decay", h.weight_decay, "0 or more");
  check_range(h.eps >= 0.0, "eps", h.eps, "0 or more");
  for (const double beta : h.betas) check_range(beta >= 0.0 && beta < 1.0, "betas", beta, "0 or more and below 1");
  check_range(h.momentum >= 0.0, "momentum", h.momentum, "0 or more");
  check_range(h.lr_decay >= 0.0, "lr_decay", h.lr_decay, "0 or more");
  check_range(h.initial_accumulator_value >= 0.0, "initial_accumulator_value", h.initial_accumulator_value,
              "0 or more");
  check_range(h.min_coeff >= 0.0 && h.min_coeff <= h.max_coeff, "min_coeff", h.min_coeff,
              "0 or more and not above max_coeff");
  DS_CHECK(!h.nesterov || (h.momentum > 0.0 && h.dampening == 0.0), ConfigError,
           "[optim] optimizer.params.nesterov: got true with momentum ", h.momentum, " and dampening ", h.dampening,
           ", expected a momentum above 0 and no dampening.");
}

}  // namespace deepspeed::optim
