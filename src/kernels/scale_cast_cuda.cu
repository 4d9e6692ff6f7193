// Scale and cast on a GPU. A thread walks the range in strides of the grid, so that any size takes one launch.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>

#include "deepspeed/error.h"
#include "kernels/scale_cast_kernels.h"

namespace deepspeed::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMaxBlocks = 4096;

__device__ void store(__nv_bfloat16* to, float value) { *to = __float2bfloat16_rn(value); }
__device__ void store(__half* to, float value) { *to = __float2half_rn(value); }

template <class Element>
__global__ void scale_cast_kernel(Element* dst, const float* src, int64_t numel, float scale) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < numel; i += stride) {
    store(dst + i, scale * src[i]);
  }
}

template <class Element>
void launch(void* dst, const float* src, int64_t numel, float scale, void* stream) {
  const auto blocks = static_cast<unsigned>(std::min((numel + kThreads - 1) / kThreads, kMaxBlocks));
  scale_cast_kernel<<<blocks, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(static_cast<Element*>(dst), src, numel,
                                                                                scale);
  const cudaError_t status = cudaGetLastError();
  DS_CHECK(status == cudaSuccess, InternalError, "[kernels.scale_cast] a launch over ", numel,
           " elements failed: ", cudaGetErrorString(status), ". It may come from an earlier kernel "
           "(CUDA_LAUNCH_BLOCKING=1 shows whose it is), or from a driver that is older than this build's CUDA.");
}

}  // namespace

bool has_cuda_scale_cast() { return true; }

void launch_scale_cast_cuda(void* dst, core::Dtype dst_dtype, const float* src, int64_t numel, float scale,
                            void* stream) {
  if (dst_dtype != core::Dtype::kBFloat16 && dst_dtype != core::Dtype::kFloat16) {
    throw NotSupported(concat("[kernels.scale_cast] got a destination of ", core::dtype_name(dst_dtype),
                              ", expected bfloat16 or float16."));
  }
  if (numel <= 0) return;
  if (dst_dtype == core::Dtype::kBFloat16) {
    launch<__nv_bfloat16>(dst, src, numel, scale, stream);
  } else {
    launch<__half>(dst, src, numel, scale, stream);
  }
}

}  // namespace deepspeed::kernels
