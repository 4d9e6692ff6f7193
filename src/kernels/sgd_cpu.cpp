// SGD in vectors, for every instruction set in simd_targets.h.
#include "kernels/sgd_kernels.h"

#include "kernels/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/sgd_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace deepspeed::kernels::HWY_NAMESPACE {

void sgd(const SgdArgs& a) {
  update_range(a.range, "sgd", [&](auto d, auto weight, auto gradient, int64_t i) HWY_ATTR {
    const auto g = hn::Add(gradient, hn::Mul(hn::Set(d, a.l2), weight));
    auto direction = g;
    if (a.momentum_buffer != nullptr) {
      auto buffer = g;
      if (!a.first_step) {
        buffer = hn::Add(hn::Mul(hn::Set(d, a.momentum), hn::LoadU(d, a.momentum_buffer + i)),
                         hn::Mul(hn::Set(d, a.one_minus_dampening), g));
      }
      hn::StoreU(buffer, d, a.momentum_buffer + i);
      direction = a.nesterov ? hn::Add(g, hn::Mul(hn::Set(d, a.momentum), buffer)) : buffer;
    }
    return hn::Sub(weight, hn::Mul(hn::Set(d, a.lr), direction));
  });
}

}  // namespace deepspeed::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace deepspeed::kernels {

HWY_EXPORT(sgd);
void sgd(const SgdArgs& args) { HWY_DYNAMIC_DISPATCH(sgd)(args); }

}  // namespace deepspeed::kernels
#endif
