// Adagrad in vectors, for every instruction set in simd_targets.h.
#include "kernels/adagrad_kernels.h"

#include "kernels/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/adagrad_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/update-inl.h"

HWY_BEFORE_NAMESPACE();
namespace deepspeed::kernels::HWY_NAMESPACE {

void adagrad(const AdagradArgs& args) {
  const UpdateArrays<1> arrays = {args.range.master, {args.sum}};
  update_range<1>(args.range, "adagrad", arrays, [a = args](auto d, auto weight, auto gradient, auto* states) HWY_ATTR {
    const auto g = hn::Add(gradient, hn::Mul(hn::Set(d, a.l2), weight));
    states[0] = hn::Add(states[0], hn::Mul(g, g));
    const auto denominator = hn::Add(hn::Sqrt(states[0]), hn::Set(d, a.eps));
    return hn::Sub(weight, hn::Mul(hn::Set(d, a.lr), hn::Div(g, denominator)));
  });
}

}  // namespace deepspeed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deepspeed::kernels {

HWY_EXPORT(adagrad);
void adagrad(const AdagradArgs& args) { HWY_DYNAMIC_DISPATCH(adagrad)(args); }

}  // namespace deepspeed::kernels
#endif
