// The weights of a checkpoint without an engine, for programs that only want those.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "deepspeed/export.h"

namespace deepspeed::detail {

/// (name, whole tensor) of every parameter and buffer of FOLDER/TAG; without a tag the one that `latest` names. Float
/// types come as float32, from master weights where there are any. Tied names share a tensor. Throws CheckpointError.
DS_API std::vector<std::pair<std::string, at::Tensor>> read_weights(const std::string& folder,
                                                                    const std::optional<std::string>& tag);

}  // namespace deepspeed::detail
