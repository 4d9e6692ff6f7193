// A parameter whose data lies in a lane. The parameter keeps its TensorImpl (identity, hooks, attributes, version
// counter) and gets a storage of its own that covers just its elements, so that saving a bias writes a bias.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace deepspeed::tensor {

/// Copies `parameter` into `lane` (1-D, same dtype after conversion) from element `offset` on, and lets it live there.
/// The new storage keeps the lane's memory alive. The parameter takes the lane's dtype and device, and becomes
/// contiguous.
void place_in_lane(at::Tensor& parameter, const at::Tensor& lane, int64_t offset);

/// A tensor of `sizes` over the lane's elements from `offset` on, with a storage of its own that keeps the lane alive.
at::Tensor view_with_own_storage(const at::Tensor& lane, int64_t offset, at::IntArrayRef sizes);

/// Whether the parameter's data still is the lane's memory at `offset`.
bool is_placed(const at::Tensor& parameter, const at::Tensor& lane, int64_t offset);

/// Gives the parameter an ordinary storage with a copy of its values: what an engine does when it lets go.
void give_back(at::Tensor& parameter);

}  // namespace deepspeed::tensor
