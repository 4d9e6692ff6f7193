// Sums of squares and searches for inf and nan in vectors, for every instruction set in simd_targets.h.
#include "kernels/norm_kernels.h"

#include <algorithm>

#include "kernels/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace deepspeed::kernels::HWY_NAMESPACE {

// Element i of a chunk is added to sum i % 16, whatever the width of a vector; the sums are added in order.
constexpr int64_t kSums = 16;

template <class D, class Element>
HWY_INLINE hn::Vec<D> load_double(D d, const Element* from) {
  return hn::PromoteTo(d, load_float(hn::Rebind<float, D>(), from));
}

template <class D>
HWY_INLINE hn::Vec<D> load_double(D d, const double* from) {
  return hn::LoadU(d, from);
}

// Chunks that are read in turns, 256 bytes of each: several streams keep more of the memory busy than one.
constexpr int64_t kTogether = 4;
constexpr int64_t kTurnNumel = 64;

/// The sums of one chunk, which outlive the vectors' registers.
struct ChunkSums {
  double sums[kSums] = {};

  template <class Element>
  HWY_INLINE void add(const Element* from, int64_t numel) {
    const hn::ScalableTag<double> d;
    constexpr int64_t kLanes = hn::MaxLanes(hn::ScalableTag<double>());
    constexpr int64_t kVectors = kSums / kLanes;
    hn::Vec<decltype(d)> vectors[kVectors];
    for (int64_t j = 0; j < kVectors; ++j) vectors[j] = hn::LoadU(d, sums + j * kLanes);
    int64_t i = 0;
    for (; i + kSums <= numel; i += kSums) {
      for (int64_t j = 0; j < kVectors; ++j) {
        const auto value = load_double(d, from + i + j * kLanes);
        vectors[j] = hn::Add(vectors[j], hn::Mul(value, value));
      }
    }
    for (int64_t j = 0; j < kVectors; ++j) hn::StoreU(vectors[j], d, sums + j * kLanes);
    for (int64_t j = 0; i < numel; ++i, ++j) {
      const double value = hn::GetLane(load_double(hn::CappedTag<double, 1>(), from + i));
      sums[j] += value * value;
    }
  }

  double total() const {
    double total = 0.0;
    for (const double sum : sums) total += sum;
    return total;
  }
};

template <class Element>
HWY_INLINE void sums_of_chunks(const Element* from, int64_t numel, double* sums) {
  int64_t begin = 0;
  for (; begin + kTogether * kNormChunkNumel <= numel; begin += kTogether * kNormChunkNumel) {
    ChunkSums chunks[kTogether];
    for (int64_t i = 0; i < kNormChunkNumel; i += kTurnNumel) {
      for (int64_t j = 0; j < kTogether; ++j) chunks[j].add(from + begin + j * kNormChunkNumel + i, kTurnNumel);
    }
    for (const ChunkSums& chunk : chunks) *sums++ = chunk.total();
  }
  for (; begin < numel; begin += kNormChunkNumel) {
    ChunkSums chunk;
    chunk.add(from + begin, HWY_MIN(kNormChunkNumel, numel - begin));
    *sums++ = chunk.total();
  }
}

void chunk_sums_of_squares(const void* src, core::Dtype dtype, int64_t numel, double* sums) {
  if (dtype == core::Dtype::kFloat64) return sums_of_chunks(static_cast<const double*>(src), numel, sums);
  visit_element(dtype, "sum_of_squares", [&](auto element) HWY_ATTR {
    sums_of_chunks(static_cast<const decltype(element)*>(src), numel, sums);
  });
}

/// An element is inf or NaN where all bits of its exponent are set.
template <class Bits>
HWY_INLINE int64_t first_with_exponent(const void* src, int64_t numel, Bits exponent) {
  const auto* const from = static_cast<const Bits*>(src);
  const hn::ScalableTag<Bits> d;
  const auto mask = hn::Set(d, exponent);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= numel; i += lanes) {
    if (!hn::AllFalse(d, hn::Eq(hn::And(hn::LoadU(d, from + i), mask), mask))) break;
  }
  for (; i < numel; ++i) {
    if ((from[i] & exponent) == exponent) return i;
  }
  return -1;
}

int64_t first_nonfinite(const void* src, core::Dtype dtype, int64_t numel) {
  switch (dtype) {
    case core::Dtype::kFloat32:
      return first_with_exponent<uint32_t>(src, numel, 0x7F800000U);
    case core::Dtype::kBFloat16:
      return first_with_exponent<uint16_t>(src, numel, 0x7F80U);
    case core::Dtype::kFloat16:
      return first_with_exponent<uint16_t>(src, numel, 0x7C00U);
    case core::Dtype::kFloat64:
      return first_with_exponent<uint64_t>(src, numel, 0x7FF0000000000000U);
  }
  return -1;
}

}  // namespace deepspeed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deepspeed::kernels {

HWY_EXPORT(chunk_sums_of_squares);
void chunk_sums_of_squares(const void* src, core::Dtype dtype, int64_t numel, double* sums) {
  HWY_DYNAMIC_DISPATCH(chunk_sums_of_squares)(src, dtype, numel, sums);
}

double sum_of_squares(const void* src, core::Dtype dtype, int64_t numel) {
  constexpr int64_t kChunks = 16;
  double total = 0.0;
  for (int64_t begin = 0; begin < numel; begin += kChunks * kNormChunkNumel) {
    double sums[kChunks] = {};  // adding the zeros of chunks that are not there changes nothing
    const auto* const from = static_cast<const char*>(src) + begin * core::dtype_bytes(dtype);
    chunk_sums_of_squares(from, dtype, std::min(kChunks * kNormChunkNumel, numel - begin), sums);
    for (const double sum : sums) total += sum;
  }
  return total;
}

HWY_EXPORT(first_nonfinite);
int64_t first_nonfinite(const void* src, core::Dtype dtype, int64_t numel) {
  return HWY_DYNAMIC_DISPATCH(first_nonfinite)(src, dtype, numel);
}

}  // namespace deepspeed::kernels
#endif
