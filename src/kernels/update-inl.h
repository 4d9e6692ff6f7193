// The frame of every optimizer kernel: one pass over all arrays of a range, a cache line at a time; compiled once a
// target. What makes it as fast as the memory: one loop, so that reads, arithmetic and writes of neighbouring lines
// overlap; prefetches, since the processor's own stop at each page; writes past the cache where nothing is read again.
#if defined(DS_KERNELS_UPDATE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef DS_KERNELS_UPDATE_INL_H
#undef DS_KERNELS_UPDATE_INL_H
#else
#define DS_KERNELS_UPDATE_INL_H
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <cstdint>
#include <type_traits>

#include "kernels/element.h"
#include "kernels/simd-inl.h"
#include "kernels/update_range.h"

HWY_BEFORE_NAMESPACE();
namespace deepspeed::kernels::HWY_NAMESPACE {

constexpr int64_t kAheadNumel = 64;        // Zen 4: as good as no prefetch, 256 costs 8 %; Zen 3 needs some
constexpr int64_t kStreamNumel = 1 << 19;  // smaller ranges stay in the cache, for the gather that follows

/// What a kernel walks beside the range: `kStates` arrays that are read and written, and where the result goes (the
/// master itself, mostly).
template <int kStates>
struct UpdateArrays {
  float* output;
  float* states[kStates == 0 ? 1 : kStates];
};

/// Stands for "no compute tensor" where a loop is made for each dtype.
struct NoElement {};

template <class Body>
HWY_INLINE void visit_compute(const UpdateRange& range, const char* object, const Body& body) {
  if (range.compute == nullptr) return body(NoElement{});
  visit_element(range.compute_dtype, object, body);
}

/// Vectors that the target can write past the cache: whole ones of 16 bits.
template <class D, class Element>
constexpr bool can_stream() {
  return sizeof(Element) == 2 && hn::MaxLanes(D()) * sizeof(Element) >= 16;
}

template <class D, class Element>
HWY_INLINE void store_compute(D d, hn::Vec<D> value, Element* to, bool streams) {
  if constexpr (std::is_same_v<Element, NoElement>) {
    return;
  } else if constexpr (can_stream<D, Element>()) {
    const hn::Rebind<uint16_t, D> d16;
    const auto bits = rounded_bits(d, value, Element{});
    auto* const at = reinterpret_cast<uint16_t*>(to);
    streams ? hn::Stream(bits, d16, at) : hn::StoreU(bits, d16, at);
  } else {
    store_float(d, value, to);
  }
}

template <int kStates, class Gradient, class Compute, class Update>
struct UpdateLoop {
  UpdateArrays<kStates> arrays;
  const float* master;
  const Gradient* gradient;
  Compute* compute;
  float scale;
  bool streams;
  Update update;

  HWY_INLINE void prefetch(int64_t i) const {
    hwy::Prefetch(master + i);
    hwy::Prefetch(gradient + i);
    for (int j = 0; j < kStates; ++j) hwy::Prefetch(arrays.states[j] + i);
    if (arrays.output != master) hwy::Prefetch(arrays.output + i);
    if constexpr (!std::is_same_v<Compute, NoElement>) {
      if (!streams) hwy::Prefetch(compute + i);
    }
  }

  template <class D>
  HWY_INLINE void run(D d, int64_t begin, int64_t end) const {
    for (int64_t i = begin; i < end; i += static_cast<int64_t>(hn::Lanes(d))) {
      hn::Vec<D> states[kStates == 0 ? 1 : kStates];
      for (int j = 0; j < kStates; ++j) states[j] = hn::LoadU(d, arrays.states[j] + i);
      const auto scaled = hn::Mul(load_float(d, gradient + i), hn::Set(d, scale));
      const auto result = update(d, hn::LoadU(d, master + i), scaled, states);
      for (int j = 0; j < kStates; ++j) hn::StoreU(states[j], d, arrays.states[j] + i);
      hn::StoreU(result, d, arrays.output + i);
      if constexpr (!std::is_same_v<Compute, NoElement>) store_compute(d, result, compute + i, streams);
    }
  }
};

/// Calls update(tag, weights, scaled gradients, states) for all vectors of the range: it returns what goes to
/// `arrays.output` and, rounded, to `compute`, and changes the states in place. One loop a pair of dtypes.
template <int kStates, class Update>
HWY_INLINE void update_range(const UpdateRange& range, const char* object, const UpdateArrays<kStates>& arrays,
                             const Update& update) {
  visit_element(range.gradient_dtype, object, [&](auto gradient) HWY_ATTR {
    visit_compute(range, object, [&](auto compute) HWY_ATTR {
      using Gradient = decltype(gradient);
      using Compute = decltype(compute);
      using Line = hn::CappedTag<float, kLineNumel>;
      const bool streams = can_stream<Line, Compute>() && range.numel >= kStreamNumel &&
                           reinterpret_cast<uintptr_t>(range.compute) % (kLineNumel * sizeof(Compute)) == 0;
      const UpdateLoop<kStates, Gradient, Compute, Update> loop{arrays,
                                                                range.master,
                                                                static_cast<const Gradient*>(range.gradient),
                                                                static_cast<Compute*>(range.compute),
                                                                range.gradient_scale,
                                                                streams,
                                                                update};
      const int64_t whole_lines = range.numel / kLineNumel * kLineNumel;
      for (int64_t i = 0; i < whole_lines; i += kLineNumel) {
        loop.prefetch(i + kAheadNumel);
        loop.run(Line(), i, i + kLineNumel);
      }
      if (streams) hwy::FlushStream();
      loop.run(hn::CappedTag<float, 1>(), whole_lines, range.numel);
    });
  });
}

}  // namespace deepspeed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // include guard, once a target
