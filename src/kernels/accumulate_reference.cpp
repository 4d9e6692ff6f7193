// Scaled copies, sums and conversions, one element after another.
#include <cstring>

#include "kernels/accumulate_kernels.h"
#include "kernels/element.h"

namespace deepspeed::kernels {
namespace {

template <class Combine>
void transform(void* dst, core::Dtype dst_dtype, const void* src, core::Dtype src_dtype, int64_t numel,
               const Combine& combine) {
  visit_element(dst_dtype, "reference", [&](auto dst_element) {
    visit_element(src_dtype, "reference", [&](auto src_element) {
      auto* const to = static_cast<decltype(dst_element)*>(dst);
      const auto* const from = static_cast<const decltype(src_element)*>(src);
      for (int64_t i = 0; i < numel; ++i) {
        to[i] = from_float<decltype(dst_element)>(combine(to_float(from[i]), to_float(to[i])));
      }
    });
  });
}

}  // namespace

void scale_copy_reference(void* dst, core::Dtype dst_dtype, const void* src, core::Dtype src_dtype, int64_t numel,
                          double scale) {
  const float factor = static_cast<float>(scale);
  transform(dst, dst_dtype, src, src_dtype, numel, [=](float value, float) { return factor * value; });
}

void scale_add_reference(void* dst, core::Dtype dst_dtype, const void* src, core::Dtype src_dtype, int64_t numel,
                         double scale) {
  const float factor = static_cast<float>(scale);
  transform(dst, dst_dtype, src, src_dtype, numel, [=](float value, float old) { return old + factor * value; });
}

void convert_reference(void* dst, core::Dtype dst_dtype, const void* src, core::Dtype src_dtype, int64_t numel) {
  if (dst_dtype == src_dtype) {
    if (numel > 0) std::memmove(dst, src, static_cast<size_t>(numel * core::dtype_bytes(dst_dtype)));
    return;
  }
  transform(dst, dst_dtype, src, src_dtype, numel, [](float value, float) { return value; });
}

}  // namespace deepspeed::kernels
