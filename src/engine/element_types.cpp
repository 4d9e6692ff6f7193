// One table serves both directions.
#include "engine/element_types.h"

#include <ATen/ATen.h>

#include <map>

#include "deepspeed/error.h"

namespace deepspeed::engine {

io::ElementType element_type_of(c10::ScalarType type) {
  static const std::map<c10::ScalarType, io::ElementType> kTypes = {{at::kFloat, io::ElementType::kFloat32},
                                                                    {at::kDouble, io::ElementType::kFloat64},
                                                                    {at::kHalf, io::ElementType::kFloat16},
                                                                    {at::kBFloat16, io::ElementType::kBFloat16},
                                                                    {at::kLong, io::ElementType::kInt64},
                                                                    {at::kInt, io::ElementType::kInt32},
                                                                    {at::kShort, io::ElementType::kInt16},
                                                                    {at::kChar, io::ElementType::kInt8},
                                                                    {at::kByte, io::ElementType::kUint8},
                                                                    {at::kBool, io::ElementType::kBool},
                                                                    {at::kComplexFloat, io::ElementType::kComplex64},
                                                                    {at::kFloat8_e4m3fn, io::ElementType::kFloat8E4m3},
                                                                    {at::kFloat8_e5m2, io::ElementType::kFloat8E5m2}};
  const auto found = kTypes.find(type);
  DS_CHECK(found != kTypes.end(), NotSupported, "[engine.files] tensors of type ", c10::toString(type),
           " have no counterpart in safetensors files");
  return found->second;
}

c10::ScalarType scalar_type_of(io::ElementType type) {
  for (const c10::ScalarType candidate :
       {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort, at::kChar, at::kByte,
        at::kBool, at::kComplexFloat, at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    if (element_type_of(candidate) == type) return candidate;
  }
  throw NotSupported(concat("[engine.files] no torch type for ", io::element_type_name(type)));
}

}  // namespace deepspeed::engine
