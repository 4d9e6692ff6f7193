// An optimizer group's numbers: between names (as front ends hand them in) and the struct that the kernels take.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "deepspeed/detail/training_engine.h"
#include "optim/hyperparameters.h"

namespace deepspeed::engine {

/// `base` overwritten by what `values` names; names that no kernel knows are passed over (a group may carry the user's
/// own entries).
optim::Hyperparameters to_hyperparameters(const detail::GroupValues& values, const optim::Hyperparameters& base);

detail::GroupValues to_group_values(const optim::Hyperparameters& values);

}  // namespace deepspeed::engine
