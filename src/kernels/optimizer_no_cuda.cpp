// Stands in for the optimizers' CUDA kernels where there is no nvcc.
#include "deepspeed/error.h"
#include "kernels/optimizer_cuda_kernels.h"

namespace deepspeed::kernels {
namespace {

[[noreturn]] void fail(const char* kernel) {
  throw NotSupported(concat("[kernels.", kernel,
                            "] this build has no CUDA kernel; install the CUDA toolkit so that nvcc is in PATH, and "
                            "configure and build again."));
}

}  // namespace

bool has_cuda_optimizers() { return false; }

void adam_cuda(std::span<const AdamArgs>, void*, void*) { fail("adam"); }
void sgd_cuda(std::span<const SgdArgs>, void*, void*) { fail("sgd"); }
void adagrad_cuda(std::span<const AdagradArgs>, void*, void*) { fail("adagrad"); }
void lion_cuda(std::span<const LionArgs>, void*, void*) { fail("lion"); }
void lamb_prepare_cuda(std::span<const LambPrepareArgs>, void*, double*, double*, void*) { fail("lamb"); }
void lamb_apply_cuda(std::span<const LambApplyArgs>, void*, void*) { fail("lamb"); }

}  // namespace deepspeed::kernels
