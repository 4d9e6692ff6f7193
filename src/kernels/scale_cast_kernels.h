// Scale and cast on a GPU: float32 to bfloat16 or float16 in one pass.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace deepspeed::kernels {

/// True where this build has the CUDA kernel (target ds_kernels_cuda, built where nvcc is found).
bool has_cuda_scale_cast();

/// dst[i] = scale * src[i], rounded to nearest even; infinities stay, a NaN stays a NaN. Enqueues on `stream` (a
/// cudaStream_t; null: the default stream) of the current device and returns at once. Pointers are device pointers to
/// `numel` elements that do not overlap; `dst_dtype` is bfloat16 or float16.
/// Throws NotSupported for other dtypes or without the kernel, and InternalError with CUDA's text where a launch fails.
void launch_scale_cast_cuda(void* dst, core::Dtype dst_dtype, const float* src, int64_t numel, float scale,
                            void* stream);

}  // namespace deepspeed::kernels
