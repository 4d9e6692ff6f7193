// Lion: hyperparameters to kernel arguments, and the same update in LibTorch operations.
#include "optim/lion.h"

#include <ATen/ATen.h>

#include "kernels/lion_kernels.h"
#include "optim/lane.h"

namespace deepspeed::optim {
namespace {

void step_with_kernel(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale) {
  run_kernel(lane, &kernels::lion, &kernels::lion_cuda, [&](const Segment& segment, int64_t begin, int64_t end) {
    const Hyperparameters& h = groups[static_cast<size_t>(segment.group)];
    return kernels::LionArgs{
        .range = make_update_range(lane, begin, end, h.maximize ? -gradient_scale : gradient_scale),
        .exp_avg = state_data(lane, 0, begin),
        .beta1 = static_cast<float>(h.betas[0]),
        .one_minus_beta1 = static_cast<float>(1.0 - h.betas[0]),
        .beta2 = static_cast<float>(h.betas[1]),
        .one_minus_beta2 = static_cast<float>(1.0 - h.betas[1]),
        .lr = static_cast<float>(h.lr),
        .weight_scale = static_cast<float>(1.0 - h.lr * h.weight_decay)};
  });
}

void step_with_torch(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale) {
  for (const Segment& segment : lane.segments) {
    const Hyperparameters& h = groups[static_cast<size_t>(segment.group)];
    auto t = segment_tensors(lane, segment, h.maximize ? -gradient_scale : gradient_scale);
    const at::Tensor mixed = t.state[0].mul(h.betas[0]).add_(t.gradient, 1.0 - h.betas[0]);
    t.state[0].mul_(h.betas[1]).add_(t.gradient, 1.0 - h.betas[1]);
    const at::Tensor sign = at::where(at::isnan(mixed), mixed, mixed.sign());
    t.master.mul_(1.0 - h.lr * h.weight_decay).add_(sign, -h.lr);
    if (t.compute.defined()) t.compute.copy_(t.master);
  }
}

}  // namespace

void Lion::step(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale) const {
  check_lane(lane, 1, groups.size(), name());
  if (uses_kernels(lane)) {
    step_with_kernel(lane, groups, gradient_scale);
  } else {
    step_with_torch(lane, groups, gradient_scale);
  }
}

}  // namespace deepspeed::optim
