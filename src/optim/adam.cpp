// Adam and AdamW: hyperparameters to kernel arguments, and the same update in LibTorch operations.
#include "optim/adam.h"

#include <cmath>

#include <ATen/ATen.h>

#include "deepspeed/error.h"
#include "kernels/adam_kernels.h"
#include "optim/lane.h"

namespace deepspeed::optim {
namespace {

struct Factors {
  double step_size;
  double inverse_sqrt_correction;
  double weight_scale;
  double l2;
};

Factors factors(const Hyperparameters& h, int64_t step) {
  const double count = static_cast<double>(step);
  const double correction1 = h.bias_correction ? 1.0 - std::pow(h.betas[0], count) : 1.0;
  const double correction2 = h.bias_correction ? 1.0 - std::pow(h.betas[1], count) : 1.0;
  return {.step_size = h.lr / correction1,
          .inverse_sqrt_correction = 1.0 / std::sqrt(correction2),
          .weight_scale = h.adam_w_mode ? 1.0 - h.lr * h.weight_decay : 1.0,
          .l2 = h.adam_w_mode ? 0.0 : h.weight_decay};
}

void step_with_kernel(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale) {
  run_kernel(lane, &kernels::adam, &kernels::adam_cuda, [&](const Segment& segment, int64_t begin, int64_t end) {
    const Hyperparameters& h = groups[static_cast<size_t>(segment.group)];
    const Factors f = factors(h, segment.step);
    return kernels::AdamArgs{
        .range = make_update_range(lane, begin, end, h.maximize ? -gradient_scale : gradient_scale),
        .exp_avg = state_data(lane, 0, begin),
        .exp_avg_sq = state_data(lane, 1, begin),
        .max_exp_avg_sq = h.amsgrad ? state_data(lane, 2, begin) : nullptr,
        .beta1 = static_cast<float>(h.betas[0]),
        .one_minus_beta1 = static_cast<float>(1.0 - h.betas[0]),
        .beta2 = static_cast<float>(h.betas[1]),
        .one_minus_beta2 = static_cast<float>(1.0 - h.betas[1]),
        .eps = static_cast<float>(h.eps),
        .step_size = static_cast<float>(f.step_size),
        .inverse_sqrt_correction = static_cast<float>(f.inverse_sqrt_correction),
        .weight_scale = static_cast<float>(f.weight_scale),
        .l2 = static_cast<float>(f.l2)};
  });
}

void step_with_torch(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale) {
  for (const Segment& segment : lane.segments) {
    const Hyperparameters& h = groups[static_cast<size_t>(segment.group)];
    const Factors f = factors(h, segment.step);
    auto t = segment_tensors(lane, segment, h.maximize ? -gradient_scale : gradient_scale);
    t.gradient.add_(t.master, f.l2);
    t.master.mul_(f.weight_scale);
    t.state[0].mul_(h.betas[0]).add_(t.gradient, 1.0 - h.betas[0]);
    t.state[1].mul_(h.betas[1]).addcmul_(t.gradient, t.gradient, 1.0 - h.betas[1]);
    if (h.amsgrad) at::maximum_out(t.state[2], t.state[2], t.state[1]);
    const at::Tensor& second = t.state[h.amsgrad ? 2 : 1];
    t.master.addcdiv_(t.state[0], second.sqrt().mul_(f.inverse_sqrt_correction).add_(h.eps), -f.step_size);
    if (t.compute.defined()) t.compute.copy_(t.master);
  }
}

}  // namespace

Adam::Adam(const Hyperparameters& defaults) : amsgrad_(defaults.amsgrad) {}

std::vector<StateSpec> Adam::state_specs() const {
  std::vector<StateSpec> specs = {{"exp_avg", 0.0}, {"exp_avg_sq", 0.0}};
  if (amsgrad_) specs.push_back({"max_exp_avg_sq", 0.0});
  return specs;
}

void Adam::step(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale) const {
  check_lane(lane, amsgrad_ ? 3 : 2, groups.size(), name());
  for (const Hyperparameters& h : groups) {
    DS_CHECK(!h.amsgrad || amsgrad_, ConfigError,
             "[optim.adam] amsgrad: got true in a group of an optimizer that was made without it and keeps no maxima. "
             "Set it when the optimizer is made.");
  }
  if (uses_kernels(lane)) {
    step_with_kernel(lane, groups, gradient_scale);
  } else {
    step_with_torch(lane, groups, gradient_scale);
  }
}

}  // namespace deepspeed::optim
