// The element types that a safetensors file can hold, a superset of core::Dtype (buffers are often integers).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"

namespace deepspeed::io {

enum class ElementType : uint8_t {
  kBool,
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kUint64,
  kInt64,
  kFloat8E4m3,
  kFloat8E5m2,
  kFloat16,
  kBFloat16,
  kFloat32,
  kFloat64,
  kComplex64,
};

/// Bytes of one element.
int64_t element_bytes(ElementType type);

/// The name in a safetensors header: "F32", "BF16", "I64", "BOOL", ...
std::string_view element_type_name(ElementType type);

/// The type of that name; nothing where it is unknown.
std::optional<ElementType> parse_element_type(std::string_view name);

/// The type of torch's name, with or without "torch.": "float32", "bool", "uint8", "float8_e4m3fn", ...
std::optional<ElementType> parse_torch_type(std::string_view name);

ElementType element_type(core::Dtype dtype);

/// The product of the sizes; nothing where one is negative or the product exceeds 2^62.
std::optional<int64_t> checked_numel(const std::vector<int64_t>& shape);

/// More bytes than any tensor has. Below it sizes and offsets can be multiplied and added without overflow.
inline constexpr int64_t kMaxTensorBytes = int64_t{1} << 50;

/// The bytes of such a tensor; nothing where the shape is impossible or they exceed kMaxTensorBytes.
std::optional<int64_t> checked_bytes(const std::vector<int64_t>& shape, ElementType type);

/// "[2, 3]", for messages.
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace deepspeed::io
