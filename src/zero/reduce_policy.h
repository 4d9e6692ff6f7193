// When gradients are reduced: a policy beside the lifetimes.
#pragma once

#include "plan/lifetime.h"

namespace deepspeed::zero {

/// What a backward does with finished units. The ranks must agree.
enum class ReducePolicy {
  kNow,        ///< reduce in this backward
  kKeepLocal,  ///< only accumulate on this rank
};

/// Gradients that live until the boundary are reduced there; those that live until reduced, in every micro-batch.
/// no_sync keeps them local either way.
ReducePolicy reduce_policy(const plan::StageLifetimes& lifetimes, bool is_boundary, bool no_sync);

}  // namespace deepspeed::zero
