// Moving parameters into lanes and out again.
#include "tensor/placed_parameter.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace deepspeed::tensor {
namespace {

char* address(const at::Tensor& lane, int64_t offset) {
  return static_cast<char*>(lane.data_ptr()) + offset * lane.element_size();
}

}  // namespace

at::Tensor view_with_own_storage(const at::Tensor& lane, int64_t offset, at::IntArrayRef sizes) {
  // The deleter holds the lane: that is what keeps the memory alive.
  return at::for_blob(address(lane, offset), sizes)
      .deleter([owner = at::Tensor(lane)](void*) {})
      .options(lane.options())
      .target_device(lane.device())
      .make_tensor();
}

void place_in_lane(at::Tensor& parameter, const at::Tensor& lane, int64_t offset) {
  const at::NoGradGuard no_grad;
  at::Tensor placed = view_with_own_storage(lane, offset, parameter.sizes());
  placed.copy_(parameter.detach());
  parameter.set_data(placed);
}

bool is_placed(const at::Tensor& parameter, const at::Tensor& lane, int64_t offset) {
  if (parameter.scalar_type() != lane.scalar_type() || parameter.device() != lane.device()) return false;
  return parameter.numel() == 0 || (parameter.is_contiguous() && parameter.data_ptr() == address(lane, offset));
}

void give_back(at::Tensor& parameter) {
  const at::NoGradGuard no_grad;
  parameter.set_data(parameter.detach().clone());
}

}  // namespace deepspeed::tensor
