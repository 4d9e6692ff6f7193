// Every pair goes through float, except that float64 is narrowed to odd first so that it is rounded only once.
#include "checkpoint/element_conversion.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "deepspeed/error.h"

namespace deepspeed::checkpoint {
namespace {

using io::ElementType;

struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

float widen(float value) { return value; }
float widen(BFloat16 value) { return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16); }
float widen(Float16 value) {
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000) << 16;
  const uint32_t exponent = (value.bits >> 10) & 0x1f;
  const uint32_t fraction = value.bits & 0x3ff;
  if (exponent == 0) {  // zero or subnormal: fraction x 2^-24, exact
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  const uint32_t wide_exponent = exponent == 0x1f ? 0xff : exponent + 112;
  return std::bit_cast<float>(sign | wide_exponent << 23 | fraction << 13);
}

// The float next to `value` in the direction of zero unless exact, with its last bit set: a later rounding to fewer
// bits (at least two fewer) then gives what rounding `value` itself gives.
float narrow_to_odd(double value) {
  auto narrow = static_cast<float>(value);
  if (std::isnan(value) || static_cast<double>(narrow) == value) return narrow;
  if (std::fabs(static_cast<double>(narrow)) > std::fabs(value)) narrow = std::nextafter(narrow, 0.0f);
  return std::bit_cast<float>(std::bit_cast<uint32_t>(narrow) | 1u);
}

BFloat16 to_bfloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return {static_cast<uint16_t>(bits >> 16 | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

Float16 to_float16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  uint32_t half = 0;
  if (magnitude > 0x7f800000) {
    half = 0x7e00;
  } else if (magnitude >= 0x477ff000) {  // 65520 and more round to infinity
    half = 0x7c00;
  } else if (magnitude < 0x38800000) {  // below 2^-14: adding 0.5 lets the sum's last bit be 2^-24
    half = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - std::bit_cast<uint32_t>(0.5f);
  } else {
    half = (magnitude - (uint32_t{112} << 23) + 0xfff + ((magnitude >> 13) & 1)) >> 13;
  }
  return {static_cast<uint16_t>(sign | half)};
}

template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<From, double>) {
    if constexpr (std::is_same_v<To, float>) return static_cast<float>(value);
    if constexpr (std::is_same_v<To, BFloat16>) return to_bfloat16(narrow_to_odd(value));
    if constexpr (std::is_same_v<To, Float16>) return to_float16(narrow_to_odd(value));
  } else {
    const float wide = widen(value);
    if constexpr (std::is_same_v<To, double>) return wide;
    if constexpr (std::is_same_v<To, float>) return wide;
    if constexpr (std::is_same_v<To, BFloat16>) return to_bfloat16(wide);
    if constexpr (std::is_same_v<To, Float16>) return to_float16(wide);
  }
}

template <class From, class To>
void convert_loop(const void* source, void* destination, int64_t numel) {
  const auto* in = static_cast<const std::byte*>(source);
  auto* out = static_cast<std::byte*>(destination);
  for (int64_t i = 0; i < numel; ++i) {
    From value;
    std::memcpy(&value, in + i * static_cast<int64_t>(sizeof(From)), sizeof(From));
    if constexpr (!std::is_same_v<From, To>) {
      const To converted = convert<To>(value);
      std::memcpy(out + i * static_cast<int64_t>(sizeof(To)), &converted, sizeof(To));
    }
  }
}

// Calls `body` with a value of the C++ type that stands for `type`.
template <class Body>
void with_float_type(ElementType type, Body&& body) {
  switch (type) {
    case ElementType::kFloat32:
      return body(float{});
    case ElementType::kBFloat16:
      return body(BFloat16{});
    case ElementType::kFloat16:
      return body(Float16{});
    case ElementType::kFloat64:
      return body(double{});
    default:
      throw InternalError(
          concat("[checkpoint] no conversion for ", io::element_type_name(type), " (please report this)"));
  }
}

bool is_float(ElementType type) {
  return type == ElementType::kFloat32 || type == ElementType::kBFloat16 || type == ElementType::kFloat16 ||
         type == ElementType::kFloat64;
}

}  // namespace

bool is_convertible(ElementType from, ElementType to) { return from == to || (is_float(from) && is_float(to)); }

void convert_elements(ElementType from, const void* source, ElementType to, void* destination, int64_t numel) {
  if (from == to) {
    if (numel > 0) std::memcpy(destination, source, static_cast<size_t>(numel * io::element_bytes(from)));
    return;
  }
  with_float_type(from, [&](auto from_value) {
    with_float_type(
        to, [&](auto to_value) { convert_loop<decltype(from_value), decltype(to_value)>(source, destination, numel); });
  });
}

}  // namespace deepspeed::checkpoint
