// One optimizer step of one whole parameter, without an engine: what the optimizer classes of front ends do alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "deepspeed/detail/training_engine.h"
#include "deepspeed/export.h"

namespace deepspeed::detail {

/// Whether step_alone takes these: dense, contiguous, on the CPU; states in float32; parameter and gradient in float32,
/// bfloat16 or float16.
DS_API bool can_step_alone(const at::Tensor& parameter, const at::Tensor& gradient,
                           const std::vector<at::Tensor>& states);

/// Updates parameter and states in one pass (LAMB: two). `type` as in a config; `states` in the optimizer's order;
/// `step` counts from 1. A 16-bit parameter is widened, updated in float32 and rounded. Returns LAMB's trust ratio, 1
/// for others. Throws ValueError for tensors that do not fit.
DS_API double step_alone(const std::string& type, const at::Tensor& parameter, const at::Tensor& gradient,
                         const std::vector<at::Tensor>& states, const GroupValues& values, int64_t step);

}  // namespace deepspeed::detail
