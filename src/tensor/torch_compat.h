// What drifted between torch 2.11 and 2.13, in one place.
#pragma once

#include <utility>

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/variable.h>

namespace deepspeed::tensor {

/// std::shared_ptr<Node> up to 2.12, c10::intrusive_ptr<Node> from 2.13 on.
using GradAccumulator = decltype(torch::autograd::impl::grad_accumulator(std::declval<const at::Tensor&>()));

}  // namespace deepspeed::tensor
