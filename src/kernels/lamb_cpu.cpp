// LAMB's two passes in vectors, for every instruction set in simd_targets.h.
#include "kernels/lamb_kernels.h"

#include "kernels/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/lamb_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace deepspeed::kernels::HWY_NAMESPACE {

void lamb_prepare(const LambPrepareArgs& a) {
  UpdateRange range = a.range;
  range.compute = nullptr;
  update_range(range, "lamb", [&](auto d, auto weight, auto g, int64_t i) HWY_ATTR {
    const auto m =
        hn::Add(hn::Mul(hn::Set(d, a.beta1), hn::LoadU(d, a.exp_avg + i)), hn::Mul(hn::Set(d, a.one_minus_beta1), g));
    const auto v = hn::Add(hn::Mul(hn::Set(d, a.beta2), hn::LoadU(d, a.exp_avg_sq + i)),
                           hn::Mul(hn::Mul(hn::Set(d, a.one_minus_beta2), g), g));
    hn::StoreU(m, d, a.exp_avg + i);
    hn::StoreU(v, d, a.exp_avg_sq + i);
    const auto eps = hn::Set(d, a.eps);
    const auto corrected = hn::Mul(v, hn::Set(d, a.inverse_correction2));
    const auto denominator = a.eps_inside_sqrt ? hn::Sqrt(hn::Add(corrected, eps)) : hn::Add(hn::Sqrt(corrected), eps);
    const auto direction = hn::Div(hn::Mul(m, hn::Set(d, a.inverse_correction1)), denominator);
    hn::StoreU(hn::Add(direction, hn::Mul(hn::Set(d, a.weight_decay), weight)), d, a.update + i);
    return weight;
  });
}

void lamb_apply(const LambApplyArgs& a) {
  UpdateRange range = a.range;
  range.gradient = a.update;
  range.gradient_dtype = core::Dtype::kFloat32;
  range.gradient_scale = a.step_size;
  update_range(range, "lamb", [](auto, auto weight, auto step, int64_t) HWY_ATTR { return hn::Sub(weight, step); });
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
