// One table of names serves both directions.
#include "engine/group_values.h"

namespace deepspeed::engine {
namespace {

template <class Values, class Number, class Flag>
void visit(Values& values, const Number& number, const Flag& flag) {
  number("lr", values.lr);
  number("weight_decay", values.weight_decay);
  number("beta1", values.betas[0]);
  number("beta2", values.betas[1]);
  number("eps", values.eps);
  number("momentum", values.momentum);
  number("dampening", values.dampening);
  number("lr_decay", values.lr_decay);
  number("initial_accumulator_value", values.initial_accumulator_value);
  number("max_coeff", values.max_coeff);
  number("min_coeff", values.min_coeff);
  flag("nesterov", values.nesterov);
  flag("maximize", values.maximize);
  flag("amsgrad", values.amsgrad);
  flag("bias_correction", values.bias_correction);
  flag("adam_w_mode", values.adam_w_mode);
  flag("eps_inside_sqrt", values.eps_inside_sqrt);
}

}  // namespace

optim::Hyperparameters to_hyperparameters(const detail::GroupValues& values, const optim::Hyperparameters& base) {
  optim::Hyperparameters result = base;
  const auto read = [&](const char* name, auto& member) {
    if (const auto found = values.find(name); found != values.end())
      member = static_cast<std::decay_t<decltype(member)>>(found->second);
  };
  visit(result, read, read);
  return result;
}

detail::GroupValues to_group_values(const optim::Hyperparameters& values) {
  detail::GroupValues result;
  const auto write = [&](const char* name, const auto& member) { result[name] = static_cast<double>(member); };
  visit(values, write, write);
  return result;
}

}  // namespace deepspeed::engine
