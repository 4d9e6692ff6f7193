// Rank sums in vectors. Two ranks need one pass; more of them add into a block that stays in the L1 cache.
#include "kernels/rank_sum_kernels.h"

#include <cstdint>
#include <type_traits>

#include "kernels/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rank_sum_cpu.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace deepspeed::kernels::HWY_NAMESPACE {

constexpr int64_t kBlockNumel = 2048;  // floats that stay in the L1 cache between the passes over them

template <class Own, class Wire>
class RankSum {
 public:
  explicit RankSum(const RankSumArgs& args)
      : args_(args), scale_(static_cast<float>(args.scale)), streams_(args.streams && is_aligned(args.result)) {}

  HWY_INLINE void add(int64_t begin, int64_t numel) const {
    const size_t ranks = args_.parts.size();
    HWY_ALIGN float sum[kBlockNumel];
    Own* const result = static_cast<Own*>(args_.result) + begin;
    if (ranks == 1) {
      with_part(0, begin, [&](const auto* first) HWY_ATTR {
        for_each_vector(numel,
                        [&](auto d, int64_t i) HWY_ATTR { store_scaled(d, load_float(d, first + i), result + i); });
      });
      return;
    }
    if (ranks == 2) {
      with_two(begin, [&](const auto* first, const auto* second) HWY_ATTR {
        for_each_vector(numel, [&](auto d, int64_t i) HWY_ATTR {
          store_scaled(d, hn::Add(load_float(d, first + i), load_float(d, second + i)), result + i);
        });
      });
      return;
    }
    with_two(begin, [&](const auto* first, const auto* second) HWY_ATTR {
      for_each_vector(numel, [&](auto d, int64_t i) HWY_ATTR {
        hn::StoreU(hn::Add(load_float(d, first + i), load_float(d, second + i)), d, sum + i);
      });
    });
    for (size_t rank = 2; rank < ranks; ++rank) {
      with_part(rank, begin, [&](const auto* part) HWY_ATTR {
        for_each_vector(numel, [&](auto d, int64_t i) HWY_ATTR {
          hn::StoreU(hn::Add(hn::LoadU(d, sum + i), load_float(d, part + i)), d, sum + i);
        });
      });
    }
    for_each_vector(numel, [&](auto d, int64_t i) HWY_ATTR { store_scaled(d, hn::LoadU(d, sum + i), result + i); });
  }

 private:
  template <class D>
  HWY_INLINE void store_scaled(D d, hn::Vec<D> sum, Own* to) const {
    const auto scaled = hn::Mul(sum, hn::Set(d, scale_));
    if constexpr (std::is_same_v<Own, float> && hn::MaxLanes(D()) * sizeof(float) >= 16) {
      if (streams_) return hn::Stream(scaled, d, to);
    }
    store_float(d, scaled, to);
  }
  static bool is_aligned(const void* result) {
    return reinterpret_cast<uintptr_t>(result) % hn::Lanes(hn::ScalableTag<uint8_t>()) == 0;
  }
  template <class Body>
  HWY_INLINE void with_part(size_t rank, int64_t begin, const Body& body) const {
    if (static_cast<int>(rank) == args_.own_rank) {
      body(static_cast<const Own*>(args_.parts[rank]) + begin);
    } else {
      body(static_cast<const Wire*>(args_.parts[rank]) + begin);
    }
  }
  template <class Body>
  HWY_INLINE void with_two(int64_t begin, const Body& body) const {
    with_part(0, begin, [&](const auto* first) HWY_ATTR {
      with_part(1, begin, [&](const auto* second) HWY_ATTR { body(first, second); });
    });
  }

  const RankSumArgs& args_;
  const float scale_;
  const bool streams_;
};

void rank_sum(const RankSumArgs& args) {
  visit_element(args.own_dtype, "rank_sum", [&](auto own) HWY_ATTR {
    visit_element(args.wire_dtype, "rank_sum", [&](auto wire) HWY_ATTR {
      const RankSum<decltype(own), decltype(wire)> sum(args);
      for (int64_t begin = 0; begin < args.numel; begin += kBlockNumel) {
        sum.add(begin, HWY_MIN(kBlockNumel, args.numel - begin));
      }
      if (args.streams) hwy::FlushStream();
    });
  });
}

}  // namespace deepspeed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deepspeed::kernels {

HWY_EXPORT(rank_sum);
void rank_sum(const RankSumArgs& args) {
  if (args.own_dtype == core::Dtype::kFloat64 && args.wire_dtype == core::Dtype::kFloat64) {
    rank_sum_reference(args);
    return;
  }
  HWY_DYNAMIC_DISPATCH(rank_sum)(args);
}

}  // namespace deepspeed::kernels
#endif
