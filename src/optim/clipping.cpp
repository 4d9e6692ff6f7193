// Sums of squares over threads in fixed chunks, and the clip factor.
#include "optim/clipping.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ATen.h>

#include "deepspeed/error.h"
#include "kernels/norm_kernels.h"
#include "tensor/parallel.h"

namespace deepspeed::optim {
namespace {

core::Dtype norm_dtype(const at::Tensor& values) {
  switch (values.scalar_type()) {
    case at::kFloat:
      return core::Dtype::kFloat32;
    case at::kBFloat16:
      return core::Dtype::kBFloat16;
    case at::kHalf:
      return core::Dtype::kFloat16;
    case at::kDouble:
      return core::Dtype::kFloat64;
    default:
      throw ValueError(concat("[optim.clipping] got a gradient of dtype ", values.scalar_type(),
                              ", expected float32, bfloat16, float16 or float64."));
  }
}

void check_contiguous(const at::Tensor& values) {
  DS_CHECK(values.is_contiguous(), ValueError, "[optim.clipping] got a tensor with strides ", values.strides(),
           ", expected a contiguous one.");
}

}  // namespace

double sum_of_squares(const at::Tensor& values) {
  const core::Dtype dtype = norm_dtype(values);
  if (!values.is_cpu()) {  // summed in double without a double copy of the values
    const double norm =
        at::linalg_vector_norm(values.detach(), 2, at::OptionalIntArrayRef(), false, at::kDouble).item<double>();
    return norm * norm;
  }
  check_contiguous(values);
  const int64_t numel = values.numel();
  const auto* const data = static_cast<const char*>(values.const_data_ptr());
  const int64_t num_chunks = (numel + kernels::kNormChunkNumel - 1) / kernels::kNormChunkNumel;
  std::vector<double> partials(static_cast<size_t>(num_chunks));
  tensor::parallel_for(num_chunks, 1, [&](int64_t first, int64_t last) {
    const int64_t begin = first * kernels::kNormChunkNumel;
    const int64_t end = std::min(last * kernels::kNormChunkNumel, numel);
    kernels::chunk_sums_of_squares(data + begin * core::dtype_bytes(dtype), dtype, end - begin,
                                   partials.data() + first);
  });
  double total = 0.0;
  for (const double partial : partials) total += partial;
  return total;
}

int64_t first_nonfinite(const at::Tensor& values) {
  const core::Dtype dtype = norm_dtype(values);
  check_contiguous(values);
  if (values.is_cpu()) return kernels::first_nonfinite(values.const_data_ptr(), dtype, values.numel());
  const at::Tensor found = at::isfinite(values.detach().view({-1})).logical_not_().nonzero();
  return found.size(0) == 0 ? -1 : found[0][0].item<int64_t>();
}

double global_norm(std::span<const double> squared_partials) {
  double total = 0.0;
  for (const double partial : squared_partials) total += partial;
  return std::sqrt(total);
}

double clip_factor(double norm, double max_norm) {
  if (max_norm <= 0.0) return 1.0;
  const double factor = max_norm / (norm + 1e-6);
  return factor > 1.0 ? 1.0 : factor;  // in this order a NaN stays
}

}  // namespace deepspeed::optim
