// Adagrad: hyperparameters to kernel arguments, and the same update in LibTorch operations.
#include "optim/adagrad.h"

#include <ATen/ATen.h>

#include "kernels/adagrad_kernels.h"
#include "optim/lane.h"

namespace deepspeed::optim {
namespace {

double decayed_lr(const Hyperparameters& h, int64_t step) {
  return h.lr / (1.0 + static_cast<double>(step - 1) * h.lr_decay);
}

void step_with_kernel(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale) {
  run_kernel(lane, &kernels::adagrad, &kernels::adagrad_cuda, [&](const Segment& segment, int64_t begin, int64_t end) {
    const Hyperparameters& h = groups[static_cast<size_t>(segment.group)];
    return kernels::AdagradArgs{
        .range = make_update_range(lane, begin, end, h.maximize ? -gradient_scale : gradient_scale),
        .sum = state_data(lane, 0, begin),
        .lr = static_cast<float>(decayed_lr(h, segment.step)),
        .eps = static_cast<float>(h.eps),
        .l2 = static_cast<float>(h.weight_decay)};
  });
}

void step_with_torch(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale) {
  for (const Segment& segment : lane.segments) {
    const Hyperparameters& h = groups[static_cast<size_t>(segment.group)];
    auto t = segment_tensors(lane, segment, h.maximize ? -gradient_scale : gradient_scale);
    t.gradient.add_(t.master, h.weight_decay);
    t.state[0].addcmul_(t.gradient, t.gradient);
    t.master.addcdiv_(t.gradient, t.state[0].sqrt().add_(h.eps), -decayed_lr(h, segment.step));
    if (t.compute.defined()) t.compute.copy_(t.master);
  }
}

}  // namespace

Adagrad::Adagrad(const Hyperparameters& defaults) : initial_accumulator_value_(defaults.initial_accumulator_value) {}

std::vector<StateSpec> Adagrad::state_specs() const { return {{"sum", initial_accumulator_value_}}; }

void Adagrad::step(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale) const {
  check_lane(lane, 1, groups.size(), name());
  if (uses_kernels(lane)) {
    step_with_kernel(lane, groups, gradient_scale);
  } else {
    step_with_torch(lane, groups, gradient_scale);
  }
}

}  // namespace deepspeed::optim
