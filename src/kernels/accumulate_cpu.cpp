// Scaled copies, sums and conversions in vectors, for every instruction set in simd_targets.h.
#include "kernels/accumulate_kernels.h"

#include <cstring>

#include "kernels/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/accumulate_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace deepspeed::kernels::HWY_NAMESPACE {

/// combine(tag, source, destination pointer) gives what is stored; both in float32.
template <class Combine>
HWY_INLINE void transform(const char* object, void* dst, core::Dtype dst_dtype, const void* src, core::Dtype src_dtype,
                          int64_t numel, const Combine& combine) {
  visit_element(dst_dtype, object, [&](auto dst_element) HWY_ATTR {
    visit_element(src_dtype, object, [&](auto src_element) HWY_ATTR {
      auto* const to = static_cast<decltype(dst_element)*>(dst);
      const auto* const from = static_cast<const decltype(src_element)*>(src);
      for_each_vector(numel, [&](auto d, int64_t i)
                                 HWY_ATTR { store_float(d, combine(d, load_float(d, from + i), to + i), to + i); });
    });
  });
}

void scale_copy(void* dst, core::Dtype dst_dtype, const void* src, core::Dtype src_dtype, int64_t numel, float scale) {
  transform("scale_copy", dst, dst_dtype, src, src_dtype, numel,
            [&](auto d, auto value, const auto*) HWY_ATTR { return hn::Mul(hn::Set(d, scale), value); });
}

void scale_add(void* dst, core::Dtype dst_dtype, const void* src, core::Dtype src_dtype, int64_t numel, float scale) {
  transform("scale_add", dst, dst_dtype, src, src_dtype, numel, [&](auto d, auto value, const auto* to) HWY_ATTR {
    return hn::Add(load_float(d, to), hn::Mul(hn::Set(d, scale), value));
  });
}

void convert(void* dst, core::Dtype dst_dtype, const void* src, core::Dtype src_dtype, int64_t numel) {
  transform("convert", dst, dst_dtype, src, src_dtype, numel,
            [](auto, auto value, const auto*) HWY_ATTR { return value; });
}

}  // namespace deepspeed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deepspeed::kernels {
namespace {

bool both_float64(core::Dtype a, core::Dtype b) { return a == core::Dtype::kFloat64 && b == core::Dtype::kFloat64; }

}  // namespace

HWY_EXPORT(scale_copy);
void scale_copy(void* dst, core::Dtype dst_dtype, const void* src, core::Dtype src_dtype, int64_t numel, double scale) {
  if (both_float64(dst_dtype, src_dtype)) {
    auto* const to = static_cast<double*>(dst);
    const auto* const from = static_cast<const double*>(src);
    for (int64_t i = 0; i < numel; ++i) to[i] = scale * from[i];
    return;
  }
  HWY_DYNAMIC_DISPATCH(scale_copy)(dst, dst_dtype, src, src_dtype, numel, static_cast<float>(scale));
}

HWY_EXPORT(scale_add);
void scale_add(void* dst, core::Dtype dst_dtype, const void* src, core::Dtype src_dtype, int64_t numel, double scale) {
  if (both_float64(dst_dtype, src_dtype)) {
    auto* const to = static_cast<double*>(dst);
    const auto* const from = static_cast<const double*>(src);
    for (int64_t i = 0; i < numel; ++i) to[i] += scale * from[i];
    return;
  }
  HWY_DYNAMIC_DISPATCH(scale_add)(dst, dst_dtype, src, src_dtype, numel, static_cast<float>(scale));
}

HWY_EXPORT(convert);
void convert(void* dst, core::Dtype dst_dtype, const void* src, core::Dtype src_dtype, int64_t numel) {
  if (dst_dtype == src_dtype) {
    if (numel > 0) std::memmove(dst, src, static_cast<size_t>(numel * core::dtype_bytes(dst_dtype)));
    return;
  }
  HWY_DYNAMIC_DISPATCH(convert)(dst, dst_dtype, src, src_dtype, numel);
}

}  // namespace deepspeed::kernels
#endif
