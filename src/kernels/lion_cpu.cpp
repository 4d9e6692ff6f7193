// Lion in vectors, for every instruction set in simd_targets.h.
#include "kernels/lion_kernels.h"

#include "kernels/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/lion_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace deepspeed::kernels::HWY_NAMESPACE {

void lion(const LionArgs& a) {
  update_range(a.range, "lion", [&](auto d, auto weight, auto gradient, int64_t i) HWY_ATTR {
    const auto m = hn::LoadU(d, a.exp_avg + i);
    const auto mixed = hn::Add(hn::Mul(hn::Set(d, a.beta1), m), hn::Mul(hn::Set(d, a.one_minus_beta1), gradient));
    hn::StoreU(hn::Add(hn::Mul(hn::Set(d, a.beta2), m), hn::Mul(hn::Set(d, a.one_minus_beta2), gradient)), d,
               a.exp_avg + i);
    // Zero and NaN stand for themselves, so that a NaN is not turned into a step.
    const auto is_signed = hn::Or(hn::Gt(mixed, hn::Zero(d)), hn::Lt(mixed, hn::Zero(d)));
    const auto sign = hn::IfThenElse(is_signed, hn::CopySign(hn::Set(d, 1.0F), mixed), mixed);
    return hn::Sub(hn::Mul(weight, hn::Set(d, a.weight_scale)), hn::Mul(hn::Set(d, a.lr), sign));
  });
}

}  // namespace deepspeed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deepspeed::kernels {

HWY_EXPORT(lion);
void lion(const LionArgs& args) { HWY_DYNAMIC_DISPATCH(lion)(args); }

}  // namespace deepspeed::kernels
#endif
