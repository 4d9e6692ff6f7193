// Stands in for scale_cast_cuda.cu where there is no nvcc.
#include "deepspeed/error.h"
#include "kernels/scale_cast_kernels.h"

namespace deepspeed::kernels {

bool has_cuda_scale_cast() { return false; }

void launch_scale_cast_cuda(void*, core::Dtype, const float*, int64_t, float, void*) {
  throw NotSupported(
      "[kernels.scale_cast] this build has no CUDA kernel; install the CUDA toolkit so that nvcc is in PATH, and "
      "configure and build again.");
}

}  // namespace deepspeed::kernels
