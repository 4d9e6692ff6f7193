// torch's element types as the shared-memory transport's.
#pragma once

#include <optional>

#include <c10/core/ScalarType.h>

#include "transport/element.h"

namespace deepspeed::comm {

/// Nothing for a type that the transport moves as bytes and cannot add.
std::optional<transport::Element> element_of(c10::ScalarType type);

}  // namespace deepspeed::comm
