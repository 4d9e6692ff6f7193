// The policy as one expression.
#include "zero/reduce_policy.h"

namespace deepspeed::zero {

ReducePolicy reduce_policy(const plan::StageLifetimes& lifetimes, bool is_boundary, bool no_sync) {
  const bool each_micro_batch = lifetimes.gradients == plan::Lifetime::kUntilReduced;
  return !no_sync && (is_boundary || each_micro_batch) ? ReducePolicy::kNow : ReducePolicy::kKeepLocal;
}

}  // namespace deepspeed::zero
