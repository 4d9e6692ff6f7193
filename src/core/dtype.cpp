// Names and sizes of element types.
#include "core/dtype.h"

#include <unordered_map>

#include "deepspeed/error.h"

namespace deepspeed::core {

int64_t dtype_bytes(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFloat32:
      return 4;
    case Dtype::kBFloat16:
    case Dtype::kFloat16:
      return 2;
    case Dtype::kFloat64:
      return 8;
  }
  throw InternalError("[core.dtype] unknown dtype");
}

std::string_view dtype_name(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFloat32:
      return "float32";
    case Dtype::kBFloat16:
      return "bfloat16";
    case Dtype::kFloat16:
      return "float16";
    case Dtype::kFloat64:
      return "float64";
  }
  throw InternalError("[core.dtype] unknown dtype");
}

Dtype parse_dtype(std::string_view name) {
  static const std::unordered_map<std::string_view, Dtype> kNames = {
      {"float32", Dtype::kFloat32},   {"fp32", Dtype::kFloat32},   {"float", Dtype::kFloat32},
      {"bfloat16", Dtype::kBFloat16}, {"bf16", Dtype::kBFloat16},  {"bfloat", Dtype::kBFloat16},
      {"float16", Dtype::kFloat16},   {"fp16", Dtype::kFloat16},   {"half", Dtype::kFloat16},
      {"float64", Dtype::kFloat64},   {"double", Dtype::kFloat64}, {"fp64", Dtype::kFloat64}};
  constexpr std::string_view kPrefix = "torch.";
  const auto short_name = name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
  const auto found = kNames.find(short_name);
  DS_CHECK(found != kNames.end(), ValueError, "[core] dtype: got \"", name, "\", expected fp32, bf16, fp16 or fp64");
  return found->second;
}

}  // namespace deepspeed::core
