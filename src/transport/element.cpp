// Sizes and names.
#include "transport/element.h"

#include "deepspeed/error.h"

namespace deepspeed::transport {

int64_t element_bytes(Element element) {
  switch (element) {
    case Element::kInt8:
    case Element::kUInt8:
    case Element::kBool:
      return 1;
    case Element::kFloat16:
    case Element::kBFloat16:
    case Element::kInt16:
      return 2;
    case Element::kFloat32:
    case Element::kInt32:
      return 4;
    case Element::kFloat64:
    case Element::kInt64:
    case Element::kComplex64:
      return 8;
    case Element::kComplex128:
      return 16;
  }
  throw InternalError("[transport.element] unknown element");
}

std::string_view element_name(Element element) {
  switch (element) {
    case Element::kFloat32:
      return "float32";
    case Element::kFloat64:
      return "float64";
    case Element::kFloat16:
      return "float16";
    case Element::kBFloat16:
      return "bfloat16";
    case Element::kInt8:
      return "int8";
    case Element::kUInt8:
      return "uint8";
    case Element::kInt16:
      return "int16";
    case Element::kInt32:
      return "int32";
    case Element::kInt64:
      return "int64";
    case Element::kBool:
      return "bool";
    case Element::kComplex64:
      return "complex64";
    case Element::kComplex128:
      return "complex128";
  }
  throw InternalError("[transport.element] unknown element");
}

std::string_view reduction_name(Reduction reduction) {
  switch (reduction) {
    case Reduction::kSum:
      return "sum";
    case Reduction::kProduct:
      return "product";
    case Reduction::kMin:
      return "minimum";
    case Reduction::kMax:
      return "maximum";
    case Reduction::kBitAnd:
      return "bitwise and";
    case Reduction::kBitOr:
      return "bitwise or";
    case Reduction::kBitXor:
      return "bitwise xor";
  }
  throw InternalError("[transport.element] unknown reduction");
}

}  // namespace deepspeed::transport
