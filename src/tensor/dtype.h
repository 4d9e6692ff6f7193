// Between torch's scalar types and ours.
#pragma once

#include <optional>

#include <c10/core/ScalarType.h>

#include "core/dtype.h"

namespace deepspeed::tensor {

/// Nothing for types that lanes do not hold (integers, bool, complex, fp8).
std::optional<core::Dtype> lane_dtype(c10::ScalarType type);

/// As lane_dtype, but throws NotSupported with the type's name.
core::Dtype to_dtype(c10::ScalarType type);

c10::ScalarType to_scalar_type(core::Dtype dtype);

}  // namespace deepspeed::tensor
