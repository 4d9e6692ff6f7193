// What the parts of zero/ are told once, at initialize.
#pragma once

#include <cstdint>
#include <optional>

#include "core/dtype.h"
#include "plan/lifetime.h"

namespace deepspeed::zero {

struct Options {
  plan::StageLifetimes lifetimes = plan::stage_lifetimes(0);
  std::optional<core::Dtype> compute_dtype;         ///< cast parameters to it; nothing: keep each parameter's own
  std::optional<core::Dtype> accumulation_dtype;    ///< grad_accum_dtype; nothing: float32
  std::optional<core::Dtype> communication_dtype;   ///< of gradients on the wire; nothing: the accumulation dtype
  bool overlap_comm = true;                         ///< reduce while backward goes on
  bool average_over_ranks = true;                   ///< gradient_allreduce_op: mean, or sum
  int64_t reduce_bucket_size = 500'000'000;         ///< gradients that go out in one launch at most, in elements
  int64_t allgather_bucket_size = 500'000'000;      ///< the same of parameters after a step
  int64_t persistence_threshold = 100'000;          ///< units of fewer elements stay whole at stage 3
  int64_t model_persistence_threshold = INT64_MAX;  ///< together at most so many elements
  int64_t max_live_parameters = 1'000'000'000;      ///< elements bound at once at stage 3
  int64_t prefetch_bucket_size = 50'000'000;        ///< elements gathered ahead of their use
  double predivide_factor = 1.0;  ///< prescale_gradients: divide by it before the sum, by the rest after
};

}  // namespace deepspeed::zero
