// Sums of squares and searches for inf and nan, one element after another.
#include <algorithm>
#include <cmath>

#include "kernels/element.h"
#include "kernels/norm_kernels.h"

namespace deepspeed::kernels {
namespace {

double element_at(const void* src, core::Dtype dtype, int64_t i) {
  if (dtype == core::Dtype::kFloat64) return static_cast<const double*>(src)[i];
  double value = 0.0;
  visit_element(dtype, "reference",
                [&](auto element) { value = to_float(static_cast<const decltype(element)*>(src)[i]); });
  return value;
}

}  // namespace

double sum_of_squares_reference(const void* src, core::Dtype dtype, int64_t numel) {
  double total = 0.0;
  for (int64_t begin = 0; begin < numel; begin += kNormChunkNumel) {
    double sums[16] = {};
    const int64_t count = std::min(kNormChunkNumel, numel - begin);
    for (int64_t i = 0; i < count; ++i) {
      const double value = element_at(src, dtype, begin + i);
      sums[i % 16] += value * value;
    }
    double chunk = 0.0;
    for (const double sum : sums) chunk += sum;
    total += chunk;
  }
  return total;
}

int64_t first_nonfinite_reference(const void* src, core::Dtype dtype, int64_t numel) {
  for (int64_t i = 0; i < numel; ++i) {
    if (!std::isfinite(element_at(src, dtype, i))) return i;
  }
  return -1;
}

}  // namespace deepspeed::kernels
