// Copies in vectors, for every instruction set in simd_targets.h.
#include "kernels/copy_kernels.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/copy_cpu.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace deepspeed::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Copies [begin, bytes) by store(vector, d, target); what is left over by the C library.
template <class Store>
HWY_INLINE void copy_vectors(uint8_t* target, const uint8_t* source, int64_t begin, int64_t bytes, const Store& store) {
  const hn::ScalableTag<uint8_t> d;
  const auto step = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = begin;
  for (; i + 4 * step <= bytes; i += 4 * step) {
    const auto a = hn::LoadU(d, source + i);
    const auto b = hn::LoadU(d, source + i + step);
    const auto c = hn::LoadU(d, source + i + 2 * step);
    const auto e = hn::LoadU(d, source + i + 3 * step);
    store(a, d, target + i);
    store(b, d, target + i + step);
    store(c, d, target + i + 2 * step);
    store(e, d, target + i + 3 * step);
  }
  if (i < bytes) std::memcpy(target + i, source + i, static_cast<size_t>(bytes - i));
}

void copy_bytes(void* to, const void* from, int64_t bytes) {
  copy_vectors(static_cast<uint8_t*>(to), static_cast<const uint8_t*>(from), 0, bytes,
               [](auto vector, auto d, uint8_t* at) HWY_ATTR { hn::StoreU(vector, d, at); });
}

// Streaming stores go to whole vectors of the target: what lies before the first one goes first.
void stream_bytes(void* to, const void* from, int64_t bytes) {
  auto* const target = static_cast<uint8_t*>(to);
  const auto* const source = static_cast<const uint8_t*>(from);
  const auto step = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<uint8_t>()));
  const auto misaligned = static_cast<int64_t>(reinterpret_cast<uintptr_t>(target) % static_cast<uintptr_t>(step));
  const int64_t head = std::min(bytes, misaligned == 0 ? 0 : step - misaligned);
  if (head > 0) std::memcpy(target, source, static_cast<size_t>(head));
  copy_vectors(target, source, head, bytes,
               [](auto vector, auto d, uint8_t* at) HWY_ATTR { hn::Stream(vector, d, at); });
  hwy::FlushStream();
}

}  // namespace deepspeed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deepspeed::kernels {

HWY_EXPORT(copy_bytes);
void copy_bytes(void* to, const void* from, int64_t bytes) { HWY_DYNAMIC_DISPATCH(copy_bytes)(to, from, bytes); }

HWY_EXPORT(stream_bytes);
void stream_bytes(void* to, const void* from, int64_t bytes) { HWY_DYNAMIC_DISPATCH(stream_bytes)(to, from, bytes); }

}  // namespace deepspeed::kernels
#endif
