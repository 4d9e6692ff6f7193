// Passes over flat ranges of elements: scaled copies and sums with a change of dtype, plain conversion.
// Every result has the same bits on every SIMD target, at every alignment and however a range is split.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace deepspeed::kernels {

/// dst[i] = scale * src[i], computed in float32 and rounded to nearest even once.
/// Both pointers hold `numel` elements of their dtype and do not overlap, or are equal and of one dtype.
/// All pairs of float32, bfloat16 and float16; float64 goes with float64 only (then computed in float64).
/// Throws NotSupported for other pairs. One thread; callers split ranges over threads.
void scale_copy(void* dst, core::Dtype dst_dtype, const void* src, core::Dtype src_dtype, int64_t numel, double scale);

/// dst[i] += scale * src[i]; otherwise as scale_copy().
void scale_add(void* dst, core::Dtype dst_dtype, const void* src, core::Dtype src_dtype, int64_t numel, double scale);

/// dst[i] = src[i], rounded to nearest even. Infinities stay; a NaN becomes torch's quiet NaN of the new dtype.
/// The pairs are those of scale_copy(). Equal dtypes are copied byte by byte.
void convert(void* dst, core::Dtype dst_dtype, const void* src, core::Dtype src_dtype, int64_t numel);

/// The same three, one element after another in plain C++: the tests' oracle.
void scale_copy_reference(void* dst, core::Dtype dst_dtype, const void* src, core::Dtype src_dtype, int64_t numel,
                          double scale);
void scale_add_reference(void* dst, core::Dtype dst_dtype, const void* src, core::Dtype src_dtype, int64_t numel,
                         double scale);
void convert_reference(void* dst, core::Dtype dst_dtype, const void* src, core::Dtype src_dtype, int64_t numel);

}  // namespace deepspeed::kernels
