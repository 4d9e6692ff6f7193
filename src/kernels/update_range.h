// What every optimizer kernel is given: one range of a lane whose elements share one set of hyperparameters.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace deepspeed::kernels {

constexpr int64_t kLineNumel = 16;  ///< float32 elements of a cache line

/// All pointers point at the first element of the range, hold `numel` elements and do not overlap.
struct UpdateRange {
  float* master = nullptr;                             ///< weights in float32; the parameter itself where it is float32
  const void* gradient = nullptr;                      ///< read once
  core::Dtype gradient_dtype = core::Dtype::kFloat32;  ///< float32, bfloat16 or float16
  void* compute = nullptr;                             ///< receives the rounded new weights; null: nothing to write
  core::Dtype compute_dtype = core::Dtype::kBFloat16;  ///< float32, bfloat16 or float16
  int64_t numel = 0;
  float gradient_scale = 1.0F;  ///< multiplies every gradient first (unscale x clip; negative to maximize)
};

}  // namespace deepspeed::kernels
