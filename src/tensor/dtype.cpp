// The four element types that lanes hold.
#include "tensor/dtype.h"

#include "deepspeed/error.h"

namespace deepspeed::tensor {

std::optional<core::Dtype> lane_dtype(c10::ScalarType type) {
  switch (type) {
    case c10::ScalarType::Float:
      return core::Dtype::kFloat32;
    case c10::ScalarType::BFloat16:
      return core::Dtype::kBFloat16;
    case c10::ScalarType::Half:
      return core::Dtype::kFloat16;
    case c10::ScalarType::Double:
      return core::Dtype::kFloat64;
    default:
      return std::nullopt;
  }
}

core::Dtype to_dtype(c10::ScalarType type) {
  const auto dtype = lane_dtype(type);
  DS_CHECK(dtype, NotSupported, "[tensor.dtype] ", c10::toString(type),
           " is not supported here: expected float32, bfloat16, float16 or float64");
  return *dtype;
}

c10::ScalarType to_scalar_type(core::Dtype dtype) {
  switch (dtype) {
    case core::Dtype::kFloat32:
      return c10::ScalarType::Float;
    case core::Dtype::kBFloat16:
      return c10::ScalarType::BFloat16;
    case core::Dtype::kFloat16:
      return c10::ScalarType::Half;
    case core::Dtype::kFloat64:
      return c10::ScalarType::Double;
  }
  throw InternalError("[tensor.dtype] unknown dtype");
}

}  // namespace deepspeed::tensor
