// Sums of squares and searches for inf and nan in vectors, for every instruction set in simd_targets.h.
#include "kernels/norm_kernels.h"

#include "kernels/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace deepspeed::kernels::HWY_NAMESPACE {

// Element i of a chunk is added to sum i % 16, whatever the width of a vector; the sums are added in order.
constexpr int64_t kSums = 16;
constexpr int64_t kDecodedNumel = 1024;

template <class Element>
HWY_INLINE void decode(double* to, const Element* from, int64_t numel) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> d_float;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= numel; i += lanes) hn::Store(hn::PromoteTo(d, load_float(d_float, from + i)), d, to + i);
  for (; i < numel; ++i) to[i] = to_float(from[i]);
}

HWY_INLINE void decode(double* to, const double* from, int64_t numel) {
  for (int64_t i = 0; i < numel; ++i) to[i] = from[i];
}

template <class Element>
HWY_INLINE double chunk_sum(const Element* from, int64_t numel) {
  const hn::ScalableTag<double> d;
  constexpr int64_t kLanes = hn::MaxLanes(hn::ScalableTag<double>());
  constexpr int64_t kVectors = kSums / kLanes;
  hn::Vec<decltype(d)> sums[kVectors];
  for (auto& sum : sums) sum = hn::Zero(d);
  HWY_ALIGN double values[kDecodedNumel];
  for (int64_t begin = 0; begin < numel; begin += kDecodedNumel) {
    const int64_t count = HWY_MIN(kDecodedNumel, numel - begin);
    decode(values, from + begin, count);
    const int64_t padded = (count + kSums - 1) / kSums * kSums;
    for (int64_t i = count; i < padded; ++i) values[i] = 0.0;
    for (int64_t i = 0; i < padded; i += kSums) {
      for (int64_t j = 0; j < kVectors; ++j) {
        const auto value = hn::Load(d, values + i + j * kLanes);
        sums[j] = hn::Add(sums[j], hn::Mul(value, value));
      }
    }
  }
  HWY_ALIGN double lanes[kSums];
  for (int64_t j = 0; j < kVectors; ++j) hn::Store(sums[j], d, lanes + j * kLanes);
  double total = 0.0;
  for (const double lane : lanes) total += lane;
  return total;
}

template <class Element>
HWY_INLINE double chunked_sum(const void* src, int64_t numel) {
  const auto* const from = static_cast<const Element*>(src);
  double total = 0.0;
  for (int64_t begin = 0; begin < numel; begin += kNormChunkNumel) {
    total += chunk_sum(from + begin, HWY_MIN(kNormChunkNumel, numel - begin));
  }
  return total;
}

double sum_of_squares(const void* src, core::Dtype dtype, int64_t numel) {
  if (dtype == core::Dtype::kFloat64) return chunked_sum<double>(src, numel);
  double total = 0.0;
  visit_element(dtype, "sum_of_squares",
                [&](auto element) HWY_ATTR { total = chunked_sum<decltype(element)>(src, numel); });
  return total;
}

/// An element is inf or NaN where all bits of its exponent are set.
template <class Bits>
HWY_INLINE int64_t first_with_exponent(const void* src, int64_t numel, Bits exponent) {
  const auto* const from = static_cast<const Bits*>(src);
  const hn::ScalableTag<Bits> d;
  const auto mask = hn::Set(d, exponent);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= numel; i += lanes) {
    if (!hn::AllFalse(d, hn::Eq(hn::And(hn::LoadU(d, from + i), mask), mask))) break;
  }
  for (; i < numel; ++i) {
    if ((from[i] & exponent) == exponent) return i;
  }
  return -1;
}

int64_t first_nonfinite(const void* src, core::Dtype dtype, int64_t numel) {
  switch (dtype) {
    case core::Dtype::kFloat32:
      return first_with_exponent<uint32_t>(src, numel, 0x7F800000U);
    case core::Dtype::kBFloat16:
      return first_with_exponent<uint16_t>(src, numel, 0x7F80U);
    case core::Dtype::kFloat16:
      return first_with_exponent<uint16_t>(src, numel, 0x7C00U);
    case core::Dtype::kFloat64:
      return first_with_exponent<uint64_t>(src, numel, 0x7FF0000000000000U);
  }
  return -1;
}

}  // namespace deepspeed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deepspeed::kernels {

HWY_EXPORT(sum_of_squares);
double sum_of_squares(const void* src, core::Dtype dtype, int64_t numel) {
  return HWY_DYNAMIC_DISPATCH(sum_of_squares)(src, dtype, numel);
}

HWY_EXPORT(first_nonfinite);
int64_t first_nonfinite(const void* src, core::Dtype dtype, int64_t numel) {
  return HWY_DYNAMIC_DISPATCH(first_nonfinite)(src, dtype, numel);
}

}  // namespace deepspeed::kernels
#endif
