// Between float32, bfloat16, float16 and float64, rounded to nearest even, so that a checkpoint of one dtype loads into
// an engine of another.
#pragma once

#include <cstdint>

#include "io/element_type.h"

namespace deepspeed::checkpoint {

/// Whether convert_elements() knows the pair: equal types, or two of the four float types.
bool is_convertible(io::ElementType from, io::ElementType to);

/// Converts `numel` elements; neither pointer needs alignment, the memory must not overlap. Equal types copy bytes. NaN
/// stays NaN, what is too large becomes infinite, subnormals are kept. Requires is_convertible(from, to).
void convert_elements(io::ElementType from, const void* source, io::ElementType to, void* destination, int64_t numel);

}  // namespace deepspeed::checkpoint
