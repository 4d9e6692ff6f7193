// One table: size and both names of each element type.
#include "io/element_type.h"

#include <algorithm>
#include <array>

#include "deepspeed/error.h"

namespace deepspeed::io {
namespace {

struct Row {
  ElementType type;
  int64_t bytes;
  std::string_view name;
  std::string_view torch_name;
};

constexpr std::array<Row, 16> kRows = {{
    {ElementType::kBool, 1, "BOOL", "bool"},
    {ElementType::kUint8, 1, "U8", "uint8"},
    {ElementType::kInt8, 1, "I8", "int8"},
    {ElementType::kUint16, 2, "U16", "uint16"},
    {ElementType::kInt16, 2, "I16", "int16"},
    {ElementType::kUint32, 4, "U32", "uint32"},
    {ElementType::kInt32, 4, "I32", "int32"},
    {ElementType::kUint64, 8, "U64", "uint64"},
    {ElementType::kInt64, 8, "I64", "int64"},
    {ElementType::kFloat8E4m3, 1, "F8_E4M3", "float8_e4m3fn"},
    {ElementType::kFloat8E5m2, 1, "F8_E5M2", "float8_e5m2"},
    {ElementType::kFloat16, 2, "F16", "float16"},
    {ElementType::kBFloat16, 2, "BF16", "bfloat16"},
    {ElementType::kFloat32, 4, "F32", "float32"},
    {ElementType::kFloat64, 8, "F64", "float64"},
    {ElementType::kComplex64, 8, "C64", "complex64"},
}};

const Row& row_of(ElementType type) {
  const auto row =
      std::find_if(kRows.begin(), kRows.end(), [&](const Row& candidate) { return candidate.type == type; });
  DS_INTERNAL_CHECK(row != kRows.end(), "element type ", static_cast<int>(type), " is in no row");
  return *row;
}

}  // namespace

int64_t element_bytes(ElementType type) { return row_of(type).bytes; }

std::string_view element_type_name(ElementType type) { return row_of(type).name; }

std::optional<ElementType> parse_element_type(std::string_view name) {
  for (const auto& row : kRows) {
    if (row.name == name) return row.type;
  }
  return std::nullopt;
}

std::optional<ElementType> parse_torch_type(std::string_view name) {
  constexpr std::string_view kPrefix = "torch.";
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  for (const auto& row : kRows) {
    if (row.torch_name == name) return row.type;
  }
  return std::nullopt;
}

ElementType element_type(core::Dtype dtype) {
  switch (dtype) {
    case core::Dtype::kFloat32:
      return ElementType::kFloat32;
    case core::Dtype::kBFloat16:
      return ElementType::kBFloat16;
    case core::Dtype::kFloat16:
      return ElementType::kFloat16;
    case core::Dtype::kFloat64:
      return ElementType::kFloat64;
  }
  throw InternalError(concat("[io.element_type] unknown dtype ", static_cast<int>(dtype), " (please report this)"));
}

std::optional<int64_t> checked_numel(const std::vector<int64_t>& shape) {
  constexpr int64_t kLimit = int64_t{1} << 62;
  if (std::find_if(shape.begin(), shape.end(), [](int64_t size) { return size < 0; }) != shape.end()) {
    return std::nullopt;
  }
  // A zero anywhere makes the product zero, however large the others are.
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  int64_t numel = 1;
  for (const int64_t size : shape) {
    if (size > kLimit / numel) return std::nullopt;
    numel *= size;
  }
  return numel;
}

std::optional<int64_t> checked_bytes(const std::vector<int64_t>& shape, ElementType type) {
  const auto numel = checked_numel(shape);
  if (!numel || *numel > kMaxTensorBytes / element_bytes(type)) return std::nullopt;
  return *numel * element_bytes(type);
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += concat(i == 0 ? "" : ", ", shape[i]);
  return text + "]";
}

}  // namespace deepspeed::io
