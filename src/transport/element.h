// Types of elements that collectives add and move.
#pragma once

#include <cstdint>
#include <string_view>

namespace deepspeed::transport {

enum class Element : uint8_t {
  kFloat32,
  kFloat64,
  kFloat16,
  kBFloat16,
  kInt8,
  kUInt8,
  kInt16,
  kInt32,
  kInt64,
  kBool,
  kComplex64,
  kComplex128,
};

/// Bytes of one element.
int64_t element_bytes(Element element);

/// "float32" and so on, as torch calls them.
std::string_view element_name(Element element);

enum class Reduction : uint8_t { kSum, kProduct, kMin, kMax, kBitAnd, kBitOr, kBitXor };

std::string_view reduction_name(Reduction reduction);

}  // namespace deepspeed::transport
