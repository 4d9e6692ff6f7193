// Torch's types and those of files.
#pragma once

#include <c10/core/ScalarType.h>

#include "io/element_type.h"

namespace deepspeed::engine {

/// Both throw NotSupported where the other side has no such type.
io::ElementType element_type_of(c10::ScalarType type);
c10::ScalarType scalar_type_of(io::ElementType type);

}  // namespace deepspeed::engine
