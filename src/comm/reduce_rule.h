// torch's reductions and element types as the shared-memory transport's.
#pragma once

#include <string>

#include <c10/core/ScalarType.h>
#include <torch/csrc/distributed/c10d/Types.hpp>

#include "transport/collectives.h"

namespace deepspeed::comm {

/// How `size` ranks reduce elements of `type`. Throws NotSupported, naming both, where that means nothing.
transport::ReduceRule reduce_rule(const c10d::ReduceOp& op, c10::ScalarType type, int size);

/// "sum", "mean", "sum times 0.5": equal on two ranks that mean the same.
std::string name_of(const c10d::ReduceOp& op);

}  // namespace deepspeed::comm
