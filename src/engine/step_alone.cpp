// A parameter as a lane of one segment.
#include "deepspeed/detail/step_alone.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

#include "deepspeed/error.h"
#include "engine/group_values.h"
#include "optim/lamb.h"
#include "optim/range_optimizer.h"

namespace deepspeed::detail {
namespace {

// Subclasses that dispatch in Python (DTensor) may have no memory of their own.
bool is_flat(const at::Tensor& tensor) {
  return tensor.defined() && tensor.layout() == at::kStrided && tensor.is_cpu() && tensor.is_contiguous() &&
         tensor.has_storage() && !tensor.unsafeGetTensorImpl()->is_python_dispatch();
}

/// The kernels write past autograd, which must know: what was computed from the old values cannot go backward.
void note_change(const at::Tensor& tensor) {
  if (!tensor.is_inference()) tensor.unsafeGetTensorImpl()->bump_version();
}

bool is_laned(const at::Tensor& tensor) {
  const auto type = tensor.scalar_type();
  return is_flat(tensor) && (type == at::kFloat || type == at::kBFloat16 || type == at::kHalf);
}

/// Both passes, since the caller wants to know the ratio.
double step_by_norm(const optim::ParameterNormOptimizer& optimizer, const optim::LaneShard& lane,
                    const optim::Hyperparameters& values) {
  const at::Tensor scratch = at::empty_like(lane.master);
  double weight_square = 0.0;
  double update_square = 0.0;
  optimizer.prepare(lane, {&values, 1}, 1.0, scratch, {&weight_square, 1}, {&update_square, 1});
  optimizer.apply(lane, {&values, 1}, scratch, {&weight_square, 1}, {&update_square, 1});
  return optim::lamb_trust_ratio(std::sqrt(weight_square), std::sqrt(update_square), values);
}

}  // namespace

bool can_step_alone(const at::Tensor& parameter, const at::Tensor& gradient, const std::vector<at::Tensor>& states) {
  return is_laned(parameter) && is_laned(gradient) && std::all_of(states.begin(), states.end(), [](const auto& state) {
           return is_flat(state) && state.scalar_type() == at::kFloat;
         });
}

double step_alone(const std::string& type, const at::Tensor& parameter, const at::Tensor& gradient,
                  const std::vector<at::Tensor>& states, const GroupValues& values, int64_t step) {
  DS_CHECK(can_step_alone(parameter, gradient, states), ValueError, "[engine.step_alone] ", type,
           ": got a tensor that is not dense and contiguous on the CPU, or states that are not float32.");
  const at::NoGradGuard no_grad;
  const optim::Hyperparameters group = engine::to_hyperparameters(values, optim::default_hyperparameters(type));
  const auto flat = [](const at::Tensor& tensor) { return tensor.detach().view(-1); };
  const optim::Segment whole{.begin = 0, .end = parameter.numel(), .group = 0, .step = step, .parameter = 0};
  optim::LaneShard lane{
      .master = flat(parameter), .gradient = flat(gradient), .compute = {}, .state = {}, .segments = {&whole, 1}};
  for (const at::Tensor& state : states) lane.state.push_back(flat(state));
  if (parameter.scalar_type() != at::kFloat) {
    lane.compute = lane.master;
    lane.master = lane.master.to(at::kFloat);
  }
  const auto optimizer = optim::make_optimizer(type, group);
  note_change(parameter);
  for (const at::Tensor& state : states) note_change(state);
  if (const auto* by_norm = dynamic_cast<const optim::ParameterNormOptimizer*>(optimizer.get())) {
    return step_by_norm(*by_norm, lane, group);
  }
  optimizer->step(lane, {&group, 1}, 1.0);
  return 1.0;
}

}  // namespace deepspeed::detail
