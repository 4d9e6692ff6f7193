// Elements of flat ranges as C++ types, their conversions one by one in plain integers, and the step from Dtype to
// type. The conversions are those of torch's c10::BFloat16 and c10::Half (nearest even, quiet NaNs), with no torch
// included.
#pragma once

#include <bit>
#include <cstdint>

#include "core/dtype.h"
#include "deepspeed/error.h"

namespace deepspeed::kernels {

struct BFloat16 {
  uint16_t bits;
};

struct Float16 {
  uint16_t bits;
};

inline float to_float(float value) { return value; }

inline float to_float(BFloat16 value) { return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16); }

inline float to_float(Float16 value) {
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000U) << 16;
  const uint32_t magnitude = value.bits & 0x7FFFU;
  if (magnitude < 0x0400U) {  // zero or subnormal: the bits count units of 2^-24
    const float tiny = static_cast<float>(magnitude) * 0x1p-24F;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(tiny) | sign);
  }
  if (magnitude >= 0x7C00U) {  // inf or NaN, which becomes quiet
    const uint32_t quiet = magnitude > 0x7C00U ? 0x00400000U : 0U;
    return std::bit_cast<float>(sign | 0x7F800000U | quiet | (magnitude & 0x03FFU) << 13);
  }
  return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000U));  // exponent bias 15 to 127
}

template <class Element>
Element from_float(float value);

template <>
inline float from_float<float>(float value) {
  return value;
}

template <>
inline BFloat16 from_float<BFloat16>(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return {0x7FC0};
  return {static_cast<uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16)};
}

template <>
inline Float16 from_float<Float16>(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000U;
  const uint32_t magnitude = bits & 0x7FFFFFFFU;
  uint32_t result = 0;
  if (magnitude > 0x7F800000U) {
    result = 0x7E00U;
  } else if (magnitude >= 0x47800000U) {  // 65536 and more, inf
    result = 0x7C00U;
  } else if (magnitude < 0x38800000U) {  // below 2^-14: adding 0.5 makes the adder round to units of 2^-24
    result = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - 0x3F000000U;
  } else {
    result = (magnitude - 0x38000000U + 0x0FFFU + (magnitude >> 13 & 1U)) >> 13;
  }
  return {static_cast<uint16_t>(sign | result)};
}

/// Calls `body` with a value-initialized float, BFloat16 or Float16 for `dtype`. `object` names the caller in the
/// error.
template <class Body>
void visit_element(core::Dtype dtype, const char* object, const Body& body) {
  switch (dtype) {
    case core::Dtype::kFloat32:
      return body(float{});
    case core::Dtype::kBFloat16:
      return body(BFloat16{});
    case core::Dtype::kFloat16:
      return body(Float16{});
    case core::Dtype::kFloat64:
      break;
  }
  throw NotSupported(concat("[kernels.", object, "] got elements of ", core::dtype_name(dtype),
                            ", expected float32, bfloat16 or float16. Keep float64 out of mixed dtypes."));
}

}  // namespace deepspeed::kernels
