// Adam and AdamW in vectors, for every instruction set in simd_targets.h.
#include "kernels/adam_kernels.h"

#include "kernels/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/adam_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace deepspeed::kernels::HWY_NAMESPACE {

template <bool kAmsgrad>
HWY_INLINE void adam_range(const AdamArgs& a) {
  update_range(a.range, "adam", [&](auto d, auto weight, auto gradient, int64_t i) HWY_ATTR {
    const auto g = hn::Add(gradient, hn::Mul(hn::Set(d, a.l2), weight));
    const auto m =
        hn::Add(hn::Mul(hn::Set(d, a.beta1), hn::LoadU(d, a.exp_avg + i)), hn::Mul(hn::Set(d, a.one_minus_beta1), g));
    const auto v = hn::Add(hn::Mul(hn::Set(d, a.beta2), hn::LoadU(d, a.exp_avg_sq + i)),
                           hn::Mul(hn::Mul(hn::Set(d, a.one_minus_beta2), g), g));
    hn::StoreU(m, d, a.exp_avg + i);
    hn::StoreU(v, d, a.exp_avg_sq + i);
    auto second = v;
    if constexpr (kAmsgrad) {
      const auto largest = hn::LoadU(d, a.max_exp_avg_sq + i);
      second = hn::IfThenElse(hn::Gt(largest, v), largest, v);
      hn::StoreU(second, d, a.max_exp_avg_sq + i);
    }
    const auto denominator =
        hn::Add(hn::Mul(hn::Sqrt(second), hn::Set(d, a.inverse_sqrt_correction)), hn::Set(d, a.eps));
    const auto step = hn::Mul(hn::Set(d, a.step_size), hn::Div(m, denominator));
    return hn::Sub(hn::Mul(weight, hn::Set(d, a.weight_scale)), step);
  });
}

void adam(const AdamArgs& args) {
  if (args.max_exp_avg_sq != nullptr) {
    adam_range<true>(args);
  } else {
    adam_range<false>(args);
  }
}

}  // namespace deepspeed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deepspeed::kernels {

HWY_EXPORT(adam);
void adam(const AdamArgs& args) { HWY_DYNAMIC_DISPATCH(adam)(args); }

}  // namespace deepspeed::kernels
#endif
