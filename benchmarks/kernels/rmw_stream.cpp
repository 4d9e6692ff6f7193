// Streams in vectors, for the instruction sets that the kernels have.
#include "kernels/rmw_stream.h"

#include "kernels/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rmw_stream.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace deepspeed::benchmarks::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <int kUpdated, bool kRounds>
void stream(float* const* updated, const float* source, uint16_t* rounded, int64_t numel) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<int32_t, decltype(d)> di;
  const hn::Rebind<uint16_t, decltype(d)> d16;
  const auto factor = hn::Set(d, 0.5F);
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  float* to[kUpdated];
  for (int j = 0; j < kUpdated; ++j) to[j] = updated[j];
  for (int64_t i = 0; i + lanes <= numel; i += lanes) {
    const auto value = hn::LoadU(d, source + i);
    for (int j = 0; j < kUpdated; ++j) {
      const auto changed = hn::Add(hn::Mul(hn::LoadU(d, to[j] + i), factor), value);
      hn::StoreU(changed, d, to[j] + i);
      if (kRounds && j == 0) hn::StoreU(hn::DemoteTo(d16, hn::BitCast(di, changed)), d16, rounded + i);
    }
  }
}

void rmw_stream(std::span<float* const> updated, const float* source, uint16_t* rounded, int64_t numel) {
  using Stream = void (*)(float* const*, const float*, uint16_t*, int64_t);
  constexpr Stream kStreams[3][2] = {{&stream<1, false>, &stream<1, true>},
                                     {&stream<2, false>, &stream<2, true>},
                                     {&stream<3, false>, &stream<3, true>}};
  kStreams[updated.size() - 1][rounded != nullptr ? 1 : 0](updated.data(), source, rounded, numel);
}

float read_stream(const float* source, int64_t numel) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto a = hn::Zero(d);
  auto b = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * lanes <= numel; i += 2 * lanes) {
    a = hn::Add(a, hn::LoadU(d, source + i));
    b = hn::Add(b, hn::LoadU(d, source + i + lanes));
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(a, b)));
}

}  // namespace deepspeed::benchmarks::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deepspeed::benchmarks {

HWY_EXPORT(rmw_stream);
void rmw_stream(std::span<float* const> updated, const float* source, uint16_t* rounded, int64_t numel) {
  HWY_DYNAMIC_DISPATCH(rmw_stream)(updated, source, rounded, numel);
}

HWY_EXPORT(read_stream);
float read_stream(const float* source, int64_t numel) { return HWY_DYNAMIC_DISPATCH(read_stream)(source, numel); }

}  // namespace deepspeed::benchmarks
#endif
