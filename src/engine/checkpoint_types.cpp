// The table of types.
#include "engine/checkpoint_types.h"

#include <map>

#include "deepspeed/error.h"

namespace deepspeed::detail {

io::ElementType element_type_of(c10::ScalarType type) {
  static const std::map<c10::ScalarType, io::ElementType> kTypes = {{c10::kFloat, io::ElementType::kFloat32},
                                                                    {c10::kDouble, io::ElementType::kFloat64},
                                                                    {c10::kHalf, io::ElementType::kFloat16},
                                                                    {c10::kBFloat16, io::ElementType::kBFloat16},
                                                                    {c10::kLong, io::ElementType::kInt64},
                                                                    {c10::kInt, io::ElementType::kInt32},
                                                                    {c10::kShort, io::ElementType::kInt16},
                                                                    {c10::kChar, io::ElementType::kInt8},
                                                                    {c10::kByte, io::ElementType::kUint8},
                                                                    {c10::kBool, io::ElementType::kBool},
                                                                    {c10::kComplexFloat, io::ElementType::kComplex64},
                                                                    {c10::kFloat8_e4m3fn, io::ElementType::kFloat8E4m3},
                                                                    {c10::kFloat8_e5m2, io::ElementType::kFloat8E5m2}};
  const auto found = kTypes.find(type);
  DS_CHECK(found != kTypes.end(), NotSupported, "[engine.checkpoint] tensors of type ", c10::toString(type),
           " cannot be saved");
  return found->second;
}

c10::ScalarType scalar_type_of(io::ElementType type) {
  for (const c10::ScalarType candidate :
       {c10::kFloat, c10::kDouble, c10::kHalf, c10::kBFloat16, c10::kLong, c10::kInt, c10::kShort, c10::kChar,
        c10::kByte, c10::kBool, c10::kComplexFloat, c10::kFloat8_e4m3fn, c10::kFloat8_e5m2}) {
    if (element_type_of(candidate) == type) return candidate;
  }
  throw NotSupported(concat("[engine.checkpoint] no torch type for ", io::element_type_name(type)));
}

}  // namespace deepspeed::detail
