// What users see in `.grad`: at stages 0 and 1 a view of the lane while it holds whole gradients. A `.grad` that is not
// our view at step() replaces that gradient.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "zero/lane_store.h"
#include "zero/reducer.h"

namespace deepspeed::zero {

/// Not thread-safe: called between forwards, backwards and steps.
class GradientViews {
 public:
  explicit GradientViews(LaneStore& store);

  /// Sets `.grad` to a view wherever lanes hold this rank's whole gradient in the parameter's own dtype: local sums
  /// before the boundary; after the reduction only where every rank keeps the whole (stage 0).
  /// A parameter without any gradient in this window keeps none.
  void publish(const Reducer& reducer, bool reduced);

  /// Takes our views back, so that autograd does not accumulate into them. Others' tensors stay.
  void take_back();

  /// Before a backward: a `.grad` that is not our view replaces what this window holds of that gradient (where it holds
  /// nothing yet, autograd adds to it), and our views are taken back.
  void prepare_backward(Reducer& reducer);

  /// Copies every `.grad` that is not our view into the owned gradients, and clears it. `filled` units only get those
  /// elements replaced. Returns whether there was any.
  bool adopt_replaced();

  /// Whether `.grad` of this parameter is our view.
  bool is_ours(int parameter) const;

 private:
  bool is_visible(int parameter, bool reduced) const;

  LaneStore& store_;
  std::vector<at::Tensor> views_;  // made once, on first use
};

}  // namespace deepspeed::zero
