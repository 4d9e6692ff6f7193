// SGD: hyperparameters to kernel arguments, and the same update in LibTorch operations.
#include "optim/sgd.h"

#include <ATen/ATen.h>

#include "deepspeed/error.h"
#include "kernels/sgd_kernels.h"
#include "optim/lane.h"

namespace deepspeed::optim {
namespace {

void step_with_kernel(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale) {
  run_kernel(lane, &kernels::sgd, &kernels::sgd_cuda, [&](const Segment& segment, int64_t begin, int64_t end) {
    const Hyperparameters& h = groups[static_cast<size_t>(segment.group)];
    return kernels::SgdArgs{.range = make_update_range(lane, begin, end, h.maximize ? -gradient_scale : gradient_scale),
                            .momentum_buffer = h.momentum != 0.0 ? state_data(lane, 0, begin) : nullptr,
                            .lr = static_cast<float>(h.lr),
                            .momentum = static_cast<float>(h.momentum),
                            .one_minus_dampening = static_cast<float>(1.0 - h.dampening),
                            .l2 = static_cast<float>(h.weight_decay),
                            .nesterov = h.nesterov,
                            .first_step = segment.step == 1};
  });
}

void step_with_torch(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale) {
  for (const Segment& segment : lane.segments) {
    const Hyperparameters& h = groups[static_cast<size_t>(segment.group)];
    auto t = segment_tensors(lane, segment, h.maximize ? -gradient_scale : gradient_scale);
    t.gradient.add_(t.master, h.weight_decay);
    at::Tensor direction = t.gradient;
    if (h.momentum != 0.0) {
      at::Tensor& buffer = t.state[0];
      if (segment.step == 1) {
        buffer.copy_(t.gradient);
      } else {
        buffer.mul_(h.momentum).add_(t.gradient, 1.0 - h.dampening);
      }
      direction = h.nesterov ? t.gradient.add(buffer, h.momentum) : buffer;
    }
    t.master.add_(direction, -h.lr);
    if (t.compute.defined()) t.compute.copy_(t.master);
  }
}

}  // namespace

Sgd::Sgd(const Hyperparameters& defaults) : has_momentum_(defaults.momentum != 0.0) {}

std::vector<StateSpec> Sgd::state_specs() const {
  if (has_momentum_) return {{"momentum_buffer", 0.0}};
  return {};
}

void Sgd::step(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale) const {
  check_lane(lane, has_momentum_ ? 1 : 0, groups.size(), name());
  for (const Hyperparameters& h : groups) {
    DS_CHECK(has_momentum_ || h.momentum == 0.0, ConfigError, "[optim.sgd] momentum: got ", h.momentum,
             ", expected 0, because the optimizer was made without momentum. Set a momentum when it is made.");
  }
  if (uses_kernels(lane)) {
    step_with_kernel(lane, groups, gradient_scale);
  } else {
    step_with_torch(lane, groups, gradient_scale);
  }
}

}  // namespace deepspeed::optim
