// LAMB's two passes in vectors, for every instruction set in simd_targets.h.
#include "kernels/lamb_kernels.h"

#include "kernels/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/lamb_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/update-inl.h"

HWY_BEFORE_NAMESPACE();
namespace deepspeed::kernels::HWY_NAMESPACE {

void lamb_prepare(const LambPrepareArgs& args) {
  UpdateRange range = args.range;
  range.compute = nullptr;
  const UpdateArrays<2> arrays = {args.update, {args.exp_avg, args.exp_avg_sq}};
  update_range<2>(range, "lamb", arrays, [a = args](auto d, auto weight, auto g, auto* states) HWY_ATTR {
    const auto m = hn::Add(hn::Mul(hn::Set(d, a.beta1), states[0]), hn::Mul(hn::Set(d, a.one_minus_beta1), g));
    const auto v =
        hn::Add(hn::Mul(hn::Set(d, a.beta2), states[1]), hn::Mul(hn::Mul(hn::Set(d, a.one_minus_beta2), g), g));
    states[0] = m;
    states[1] = v;
    const auto eps = hn::Set(d, a.eps);
    const auto corrected = hn::Mul(v, hn::Set(d, a.inverse_correction2));
    const auto denominator = a.eps_inside_sqrt ? hn::Sqrt(hn::Add(corrected, eps)) : hn::Add(hn::Sqrt(corrected), eps);
    const auto direction = hn::Div(hn::Mul(m, hn::Set(d, a.inverse_correction1)), denominator);
    return hn::Add(direction, hn::Mul(hn::Set(d, a.weight_decay), weight));
  });
}

void lamb_apply(const LambApplyArgs& args) {
  UpdateRange range = args.range;
  range.gradient = args.update;
  range.gradient_dtype = core::Dtype::kFloat32;
  range.gradient_scale = args.step_size;
  const UpdateArrays<0> arrays = {range.master, {}};
  update_range<0>(range, "lamb", arrays,
                  [](auto, auto weight, auto step, auto*) HWY_ATTR { return hn::Sub(weight, step); });
}

}  // namespace deepspeed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deepspeed::kernels {

HWY_EXPORT(lamb_prepare);
HWY_EXPORT(lamb_apply);
void lamb_prepare(const LambPrepareArgs& args) { HWY_DYNAMIC_DISPATCH(lamb_prepare)(args); }
void lamb_apply(const LambApplyArgs& args) { HWY_DYNAMIC_DISPATCH(lamb_apply)(args); }

}  // namespace deepspeed::kernels
#endif
