// Vectors of float32 from and to elements of any dtype, and the loops that every kernel shares; compiled once a target.
// The last elements of a range go through the same operations one lane at a time, and nothing is fused (the build
// passes -ffp-contract=off), so an element's result depends neither on its position nor on the target.
#if defined(DS_KERNELS_SIMD_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef DS_KERNELS_SIMD_INL_H
#undef DS_KERNELS_SIMD_INL_H
#else
#define DS_KERNELS_SIMD_INL_H
#endif

#include <hwy/highway.h>

#include "kernels/element.h"

HWY_BEFORE_NAMESPACE();
namespace deepspeed::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Targets with instructions for float16 that round to nearest even.
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON
constexpr bool kHasFloat16Instructions = true;
#else
constexpr bool kHasFloat16Instructions = false;
#endif

template <class D>
HWY_INLINE hn::Vec<D> load_float(D d, const float* from) {
  return hn::LoadU(d, from);
}

template <class D>
HWY_INLINE hn::Vec<D> load_float(D d, const BFloat16* from) {
  const hn::Rebind<uint16_t, D> d16;
  const hn::Rebind<uint32_t, D> d32;
  const auto bits = hn::LoadU(d16, reinterpret_cast<const uint16_t*>(from));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, bits)));
}

template <class D>
HWY_INLINE hn::Vec<D> load_float(D d, const Float16* from) {
  if constexpr (kHasFloat16Instructions) {
    const hn::Rebind<hwy::float16_t, D> d16;
    return hn::PromoteTo(d, hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(from)));
  } else {
    const hn::Rebind<uint16_t, D> d16;
    const hn::Rebind<uint32_t, D> d32;
    const auto bits = hn::PromoteTo(d32, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(from)));
    const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(d32, 0x8000U)));
    const auto magnitude = hn::And(bits, hn::Set(d32, 0x7FFFU));
    const auto shifted = hn::ShiftLeft<13>(magnitude);
    const auto normal = hn::Add(shifted, hn::Set(d32, 0x38000000U));
    // Inf and NaN; adding zero makes a NaN quiet.
    const auto special =
        hn::BitCast(d32, hn::Add(hn::BitCast(d, hn::Or(shifted, hn::Set(d32, 0x7F800000U))), hn::Zero(d)));
    const hn::RebindToSigned<decltype(d32)> di32;
    const auto tiny = hn::BitCast(d32, hn::Mul(hn::ConvertTo(d, hn::BitCast(di32, magnitude)), hn::Set(d, 0x1p-24F)));
    const auto finite = hn::IfThenElse(hn::Lt(magnitude, hn::Set(d32, 0x0400U)), tiny, normal);
    const auto value = hn::IfThenElse(hn::Gt(magnitude, hn::Set(d32, 0x7BFFU)), special, finite);
    return hn::BitCast(d, hn::Or(value, sign));
  }
}

template <class D>
HWY_INLINE void store_float(D d, hn::Vec<D> value, float* to) {
  hn::StoreU(value, d, to);
}

// 32-bit `bits` below 2^16 as 16-bit ones: by saturation, which every version of Highway has.
template <class D, class V32>
HWY_INLINE hn::Vec<hn::Rebind<uint16_t, D>> low_half(D, V32 bits) {
  return hn::DemoteTo(hn::Rebind<uint16_t, D>(), hn::BitCast(hn::Rebind<int32_t, D>(), bits));
}

/// The bits of `value` rounded to the 16-bit type of `Element`, nearest even.
template <class D>
HWY_INLINE hn::Vec<hn::Rebind<uint16_t, D>> rounded_bits(D d, hn::Vec<D> value, BFloat16) {
  const hn::Rebind<uint32_t, D> d32;
  const auto bits = hn::BitCast(d32, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d32, 1U));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(d32, 0x7FFFU))));
  const auto is_nan = hn::Gt(hn::And(bits, hn::Set(d32, 0x7FFFFFFFU)), hn::Set(d32, 0x7F800000U));
  return low_half(d, hn::IfThenElse(is_nan, hn::Set(d32, 0x7FC0U), rounded));
}

template <class D>
HWY_INLINE hn::Vec<hn::Rebind<uint16_t, D>> rounded_bits(D d, hn::Vec<D> value, Float16) {
  const hn::Rebind<uint32_t, D> d32;
  if constexpr (kHasFloat16Instructions) {
    // One quiet NaN for all payloads, as on the other targets.
    const auto nan = hn::CopySign(hn::BitCast(d, hn::Set(d32, 0x7FC00000U)), value);
    const auto clean = hn::IfThenElse(hn::Ne(value, value), nan, value);
    return hn::BitCast(hn::Rebind<uint16_t, D>(), hn::DemoteTo(hn::Rebind<hwy::float16_t, D>(), clean));
  } else {
    const auto bits = hn::BitCast(d32, value);
    const auto sign = hn::And(hn::ShiftRight<16>(bits), hn::Set(d32, 0x8000U));
    const auto magnitude = hn::And(bits, hn::Set(d32, 0x7FFFFFFFU));
    const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(d32, 1U));
    const auto normal =
        hn::ShiftRight<13>(hn::Add(hn::Sub(magnitude, hn::Set(d32, 0x38000000U)), hn::Add(odd, hn::Set(d32, 0x0FFFU))));
    // Adding 0.5 makes the adder round to units of 2^-24.
    const auto tiny =
        hn::Sub(hn::BitCast(d32, hn::Add(hn::BitCast(d, magnitude), hn::Set(d, 0.5F))), hn::Set(d32, 0x3F000000U));
    auto result = hn::IfThenElse(hn::Lt(magnitude, hn::Set(d32, 0x38800000U)), tiny, normal);
    result = hn::IfThenElse(hn::Gt(magnitude, hn::Set(d32, 0x477FFFFFU)), hn::Set(d32, 0x7C00U), result);
    result = hn::IfThenElse(hn::Gt(magnitude, hn::Set(d32, 0x7F800000U)), hn::Set(d32, 0x7E00U), result);
    return low_half(d, hn::Or(result, sign));
  }
}

template <class D, class Element>
HWY_INLINE void store_float(D d, hn::Vec<D> value, Element* to) {
  hn::StoreU(rounded_bits(d, value, Element{}), hn::Rebind<uint16_t, D>(), reinterpret_cast<uint16_t*>(to));
}

/// Calls body(tag, index) for all elements: whole vectors first, then one lane at a time.
template <class Body>
HWY_INLINE void for_each_vector(int64_t numel, const Body& body) {
  const hn::ScalableTag<float> all;
  const hn::CappedTag<float, 1> one;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(all));
  int64_t i = 0;
  for (; i + lanes <= numel; i += lanes) body(all, i);
  for (; i < numel; ++i) body(one, i);
}

}  // namespace deepspeed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard, once a target
