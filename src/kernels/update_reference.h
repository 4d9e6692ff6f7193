// The frame of the optimizer oracles: one element after another, as update-inl.h's update_range() does in vectors.
#pragma once

#include "kernels/element.h"
#include "kernels/update_range.h"

namespace deepspeed::kernels {

template <class Update>
void update_range_reference(const UpdateRange& range, const char* object, const Update& update) {
  for (int64_t i = 0; i < range.numel; ++i) {
    float gradient = 0.0F;
    if (range.gradient != nullptr) {
      visit_element(range.gradient_dtype, object, [&](auto element) {
        gradient = to_float(static_cast<const decltype(element)*>(range.gradient)[i]) * range.gradient_scale;
      });
    }
    range.master[i] = update(range.master[i], gradient, i);
    if (range.compute != nullptr) {
      visit_element(range.compute_dtype, object, [&](auto element) {
        static_cast<decltype(element)*>(range.compute)[i] = from_float<decltype(element)>(range.master[i]);
      });
    }
  }
}

}  // namespace deepspeed::kernels
