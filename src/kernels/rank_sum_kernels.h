// Sums over ranks, whose bits do not depend on who adds, or when.
#pragma once

#include <cstdint>
#include <span>

#include "core/dtype.h"

namespace deepspeed::kernels {

struct RankSumArgs {
  std::span<const void* const> parts;             ///< by rank, `numel` elements each
  int own_rank = 0;                               ///< parts[own_rank] is of own_dtype, the others of wire_dtype
  core::Dtype own_dtype = core::Dtype::kFloat32;  ///< also of the result
  core::Dtype wire_dtype = core::Dtype::kFloat32;
  void* result = nullptr;  ///< may be parts[own_rank]
  int64_t numel = 0;
  double scale = 1.0;
  bool streams = false;  ///< the result goes past the caches, for one that is large, elsewhere, and not read soon
};

/// result[i] = (part 0 [i] + part 1 [i] + ...) * scale, in float32, rounded once; float64 goes with float64 only, and
/// is added in it. The same bits however a range is split and on every instruction set. One thread.
/// Throws NotSupported for float64 with another type.
void rank_sum(const RankSumArgs& args);
void rank_sum_reference(const RankSumArgs& args);

}  // namespace deepspeed::kernels
