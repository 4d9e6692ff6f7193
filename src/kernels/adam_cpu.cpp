// Adam and AdamW in vectors, for every instruction set in simd_targets.h.
#include "kernels/adam_kernels.h"

#include "kernels/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/adam_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/update-inl.h"

HWY_BEFORE_NAMESPACE();
namespace deepspeed::kernels::HWY_NAMESPACE {

template <int kStates>
HWY_INLINE void adam_range(const UpdateRange& range, const UpdateArrays<kStates>& arrays, AdamArgs a) {
  update_range<kStates>(range, "adam", arrays, [a](auto d, auto weight, auto gradient, auto* states) HWY_ATTR {
    const auto g = hn::Add(gradient, hn::Mul(hn::Set(d, a.l2), weight));
    const auto m = hn::Add(hn::Mul(hn::Set(d, a.beta1), states[0]), hn::Mul(hn::Set(d, a.one_minus_beta1), g));
    const auto v =
        hn::Add(hn::Mul(hn::Set(d, a.beta2), states[1]), hn::Mul(hn::Mul(hn::Set(d, a.one_minus_beta2), g), g));
    states[0] = m;
    states[1] = v;
    auto second = v;
    if constexpr (kStates == 3) {
      second = hn::IfThenElse(hn::Gt(states[2], v), states[2], v);
      states[2] = second;
    }
    const auto denominator =
        hn::Add(hn::Mul(hn::Sqrt(second), hn::Set(d, a.inverse_sqrt_correction)), hn::Set(d, a.eps));
    const auto step = hn::Mul(hn::Set(d, a.step_size), hn::Div(m, denominator));
    return hn::Sub(hn::Mul(weight, hn::Set(d, a.weight_scale)), step);
  });
}

void adam(const AdamArgs& a) {
  if (a.max_exp_avg_sq != nullptr) {
    adam_range<3>(a.range, {a.range.master, {a.exp_avg, a.exp_avg_sq, a.max_exp_avg_sq}}, a);
  } else {
    adam_range<2>(a.range, {a.range.master, {a.exp_avg, a.exp_avg_sq}}, a);
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
