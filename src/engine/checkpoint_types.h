// What the files of this folder that read and write checkpoints agree on: torch's types as the files name them.
#pragma once

#include <string>

#include <c10/core/ScalarType.h>

#include "io/element_type.h"

namespace deepspeed::detail {

/// States of external optimizers bear this before their key.
inline const std::string kOwnedPrefix = "optimizer.";

/// Throw NotSupported where the other side has no such type.
io::ElementType element_type_of(c10::ScalarType type);
c10::ScalarType scalar_type_of(io::ElementType type);

}  // namespace deepspeed::detail
