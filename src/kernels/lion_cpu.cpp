// Lion in vectors, for every instruction set in simd_targets.h.
#include "kernels/lion_kernels.h"

#include "kernels/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/lion_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/update-inl.h"

HWY_BEFORE_NAMESPACE();
namespace deepspeed::kernels::HWY_NAMESPACE {

void lion(const LionArgs& args) {
  const UpdateArrays<1> arrays = {args.range.master, {args.exp_avg}};
  update_range<1>(args.range, "lion", arrays, [a = args](auto d, auto weight, auto gradient, auto* states) HWY_ATTR {
    const auto m = states[0];
    const auto mixed = hn::Add(hn::Mul(hn::Set(d, a.beta1), m), hn::Mul(hn::Set(d, a.one_minus_beta1), gradient));
    states[0] = hn::Add(hn::Mul(hn::Set(d, a.beta2), m), hn::Mul(hn::Set(d, a.one_minus_beta2), gradient));
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
