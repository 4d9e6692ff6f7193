// SGD in vectors, for every instruction set in simd_targets.h.
#include "kernels/sgd_kernels.h"

#include "kernels/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/sgd_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/update-inl.h"

HWY_BEFORE_NAMESPACE();
namespace deepspeed::kernels::HWY_NAMESPACE {

HWY_INLINE void sgd_plain(const SgdArgs& args) {
  const UpdateArrays<0> arrays = {args.range.master, {}};
  update_range<0>(args.range, "sgd", arrays, [a = args](auto d, auto weight, auto gradient, auto*) HWY_ATTR {
    const auto g = hn::Add(gradient, hn::Mul(hn::Set(d, a.l2), weight));
    return hn::Sub(weight, hn::Mul(hn::Set(d, a.lr), g));
  });
}

HWY_INLINE void sgd_with_momentum(const SgdArgs& args) {
  const UpdateArrays<1> arrays = {args.range.master, {args.momentum_buffer}};
  update_range<1>(args.range, "sgd", arrays, [a = args](auto d, auto weight, auto gradient, auto* states) HWY_ATTR {
    const auto g = hn::Add(gradient, hn::Mul(hn::Set(d, a.l2), weight));
    auto& buffer = states[0];
    const auto mixed = hn::Add(hn::Mul(hn::Set(d, a.momentum), buffer), hn::Mul(hn::Set(d, a.one_minus_dampening), g));
    buffer = a.first_step ? g : mixed;
    const auto direction = a.nesterov ? hn::Add(g, hn::Mul(hn::Set(d, a.momentum), buffer)) : buffer;
    return hn::Sub(weight, hn::Mul(hn::Set(d, a.lr), direction));
  });
}

void sgd(const SgdArgs& args) {
  if (args.momentum_buffer == nullptr) {
    sgd_plain(args);
  } else {
    sgd_with_momentum(args);
  }
}

}  // namespace deepspeed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deepspeed::kernels {

HWY_EXPORT(sgd);
void sgd(const SgdArgs& args) { HWY_DYNAMIC_DISPATCH(sgd)(args); }

}  // namespace deepspeed::kernels
#endif
