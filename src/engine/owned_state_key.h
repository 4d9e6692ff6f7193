// How checkpoints name the states of external optimizers.
#pragma once

#include <string>

namespace deepspeed::detail {

/// States of external optimizers bear this before their key.
inline const std::string kOwnedPrefix = "optimizer.";

}  // namespace deepspeed::detail
