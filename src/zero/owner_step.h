// The step of optimizers that need whole parameters (Muon, Adafactor, any torch class without a kernel of ours): each
// parameter has an owner, gradients move to the owners before the step and new weights to everyone after it.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "comm/communicator.h"
#include "zero/lane_store.h"

namespace deepspeed::zero {

/// A whole parameter that this rank owns. `master` is float32 and stays the same tensor until a layout is made
/// anew (the parameter's own memory where that is float32); the optimizer updates it in place.
struct OwnedParameter {
  int parameter;
  at::Tensor master;
  at::Tensor gradient;  ///< float32, scaled and clipped; only until finish()
};

/// Memory beside the lanes: float32 gradients of the owned parameters during the step, and masters of those that are
/// not float32 or are released between uses. Collective: every rank calls both in turn.
class OwnerStep {
 public:
  OwnerStep(LaneStore& store, comm::Communicator& data);

  bool owns(int parameter) const { return owners_[parameter] == store_.rank(); }

  /// Gathers reduced gradients, unit by unit, times `scale`. Without `resting` parameters (true, by index).
  std::vector<OwnedParameter> begin(double scale, const std::vector<bool>& resting, int64_t step);

  /// Sends the owners' new weights to all; masters and parameters of the lanes follow.
  void finish(int64_t step);

  /// Masters follow the lanes again: after a checkpoint was loaded or weights were changed.
  void refresh_masters(int64_t step);
  /// The same of one whole parameter; not collective.
  void set_master(int parameter, const at::Tensor& value);

  /// Of masters that are not the parameters themselves.
  int64_t scratch_bytes() const;

 private:
  at::Tensor value_of(int parameter);
  /// Whether the owner keeps a float32 copy: 16-bit weights, and those that are whole nowhere between uses.
  bool has_own_master(size_t unit, const LaneBuffers& lane) const;

  LaneStore& store_;
  comm::Communicator& data_;
  std::vector<int> owners_;
  std::vector<at::Tensor> masters_;  // [parameter], where owned and has_own_master
};

}  // namespace deepspeed::zero
