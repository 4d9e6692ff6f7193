// Gradients on their way into a lane: scaled and cast in one pass.
#pragma once

#include <ATen/core/Tensor.h>

namespace deepspeed::precision {

/// target = scale * source. `target` is 1-D and contiguous; `source` has as many elements, any shape and strides.
/// CPU tensors go through our kernels on the threads of torch, others through LibTorch.
void scale_into(const at::Tensor& target, const at::Tensor& source, double scale);

/// target += scale * source, otherwise the same.
void add_scaled_into(const at::Tensor& target, const at::Tensor& source, double scale);

}  // namespace deepspeed::precision
