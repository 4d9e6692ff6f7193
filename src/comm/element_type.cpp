// The table.
#include "comm/element_type.h"

#include <ATen/core/Tensor.h>

namespace deepspeed::comm {

using transport::Element;

std::optional<Element> element_of(c10::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return Element::kFloat32;
    case at::kDouble:
      return Element::kFloat64;
    case at::kHalf:
      return Element::kFloat16;
    case at::kBFloat16:
      return Element::kBFloat16;
    case at::kChar:
      return Element::kInt8;
    case at::kByte:
      return Element::kUInt8;
    case at::kShort:
      return Element::kInt16;
    case at::kInt:
      return Element::kInt32;
    case at::kLong:
      return Element::kInt64;
    case at::kBool:
      return Element::kBool;
    case at::kComplexFloat:
      return Element::kComplex64;
    case at::kComplexDouble:
      return Element::kComplex128;
    default:
      return std::nullopt;
  }
}

}  // namespace deepspeed::comm
