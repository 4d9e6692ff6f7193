// What clipping and overflow checks read from a range: its sum of squares and its first inf or nan.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace deepspeed::kernels {

/// Sums of squares are taken per chunk of this many elements, counted from the start of the range, and the chunks'
/// sums are added in order. Who gives chunks to several threads and adds in order gets the same bits.
constexpr int64_t kNormChunkNumel = 65'536;

/// The sums of squares of a range's chunks, one each into `sums`: four whole chunks at once are almost twice as fast
/// as one. Same bits and errors as sum_of_squares(). One thread.
void chunk_sums_of_squares(const void* src, core::Dtype dtype, int64_t numel, double* sums);

/// The sum of squares of `numel` elements in float64: the same bits at every alignment and on every SIMD target.
/// An inf gives inf, a NaN gives NaN. One thread.
double sum_of_squares(const void* src, core::Dtype dtype, int64_t numel);

/// Index of the first element that is inf or NaN, or -1. One thread.
int64_t first_nonfinite(const void* src, core::Dtype dtype, int64_t numel);

/// The same in plain C++: the tests' oracle.
double sum_of_squares_reference(const void* src, core::Dtype dtype, int64_t numel);
int64_t first_nonfinite_reference(const void* src, core::Dtype dtype, int64_t numel);

}  // namespace deepspeed::kernels
