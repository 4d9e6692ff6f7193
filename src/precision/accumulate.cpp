// The choice between our CPU kernels and LibTorch, and the split over threads.
#include "precision/accumulate.h"

#include <ATen/ATen.h>

#include "deepspeed/error.h"
#include "kernels/accumulate_kernels.h"
#include "tensor/dtype.h"
#include "tensor/parallel.h"

namespace deepspeed::precision {
namespace {

constexpr int64_t kGrainNumel = 64 * 1024;

using Kernel = void (*)(void*, core::Dtype, const void*, core::Dtype, int64_t, double);

void run_on_cpu(Kernel kernel, const at::Tensor& target, const at::Tensor& source, double scale) {
  const at::Tensor dense = source.contiguous();
  const core::Dtype to = tensor::to_dtype(target.scalar_type());
  const core::Dtype from = tensor::to_dtype(dense.scalar_type());
  char* to_data = static_cast<char*>(target.data_ptr());
  const char* from_data = static_cast<const char*>(dense.const_data_ptr());
  tensor::parallel_for(target.numel(), kGrainNumel, [&](int64_t begin, int64_t end) {
    kernel(to_data + begin * core::dtype_bytes(to), to, from_data + begin * core::dtype_bytes(from), from, end - begin,
           scale);
  });
}

void check(const at::Tensor& target, const at::Tensor& source) {
  DS_INTERNAL_CHECK(target.numel() == source.numel() && target.is_contiguous(), "target of ", target.numel(),
                    " elements for a source of ", source.numel());
}

}  // namespace

void scale_into(const at::Tensor& target, const at::Tensor& source, double scale) {
  check(target, source);
  if (target.is_cpu()) return run_on_cpu(&kernels::scale_copy, target, source, scale);
  target.copy_(source.reshape({-1}));
  if (scale != 1.0) target.mul_(scale);
}

void add_scaled_into(const at::Tensor& target, const at::Tensor& source, double scale) {
  check(target, source);
  if (target.is_cpu()) return run_on_cpu(&kernels::scale_add, target, source, scale);
  target.add_(source.reshape({-1}), scale);
}

}  // namespace deepspeed::precision
