// The buffers behind all lanes of one model: parameters, gradients, master weights and optimizer state, each whole or
// the rank's shard as the stage's lifetimes say.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "comm/communicator.h"
#include "optim/range_optimizer.h"
#include "plan/unit.h"
#include "tensor/named_parameter.h"
#include "tensor/slot_pool.h"
#include "zero/options.h"

namespace deepspeed::zero {

/// One lane's buffers. All are 1-D and kept for the engine's life.
struct LaneBuffers {
  plan::Lane plan;
  plan::Range owned;                     ///< what this rank steps, in lane elements: its shard, or the whole lane
  at::Tensor parameters;                 ///< [numel], compute dtype; undefined where the unit is released between uses
  at::Tensor owned_parameters;           ///< [owned], compute dtype; a view of `parameters` where those are whole
  at::Tensor gradients;                  ///< [numel], accumulation dtype; undefined where gradients live in slots
  at::Tensor owned_gradient;             ///< [owned], a view of `gradients` where those are whole
  at::Tensor master;                     ///< [owned], float32; `owned_parameters` itself where these are float32
  std::vector<at::Tensor> states;        ///< [owned], float32, in the optimizer's order
  std::vector<optim::Segment> segments;  ///< of the owned range, filled at each boundary

  bool needs_master_copy() const { return plan.dtype != core::Dtype::kFloat32; }
  at::Tensor owned_part(const at::Tensor& whole) const { return whole.narrow(0, owned.begin, owned.numel()); }
};

struct UnitBuffers {
  std::string name;
  std::string parameters;  ///< "a, b and 3 more", for errors; empty where the name is that of a parameter
  bool released = false;   ///< whole parameters exist only while they are bound for use (binder.h)
  std::vector<LaneBuffers> lanes;
};

/// Where a parameter lies.
struct Location {
  int unit = -1;
  int lane = -1;
  plan::Range range;
};

/// Bytes that this rank holds, by role; compared with the plan's formula.
struct HeldBytes {
  int64_t parameters = 0;
  int64_t gradients = 0;
  int64_t states = 0;
  int64_t slots = 0;
  int64_t total() const { return parameters + gradients + states + slots; }
};

/// The error of an access to a released parameter that no operator announced.
std::string released_message(const std::string& parameter);

class LaneStore {
 public:
  /// Moves every parameter into its lane, after rank 0's values were sent to all; masters are taken before the cast to
  /// the compute dtype. `parameters` and `units` index alike. Whole gradients lie in buffers of `data`, which must
  /// outlive the store. Collective.
  LaneStore(std::vector<tensor::NamedParameter> parameters, const std::vector<plan::Unit>& units,
            const Options& options, const std::vector<optim::StateSpec>& state_specs, comm::Communicator& data);

  /// Without parameters and optimizer state yet.
  LaneStore(const Options& options, c10::Device device, comm::Communicator& data);

  /// More parameters and units, whose placements index parameters() as it is afterwards. Collective.
  void append(const std::vector<tensor::NamedParameter>& parameters, const std::vector<plan::Unit>& units,
              comm::Communicator& data);

  /// The same of parameters whose values come later: only their shapes count, the shards are zeros. All units must be
  /// released ones. Not collective.
  void append_without_values(const std::vector<tensor::NamedParameter>& parameters,
                             const std::vector<plan::Unit>& units);

  /// Gives every parameter that lies in a lane an ordinary storage back.
  void release_parameters();

  bool has_released_units() const;
  /// Elements of all lanes of each unit, padding included.
  std::vector<int64_t> numels() const;

  const std::vector<tensor::NamedParameter>& parameters() const { return parameters_; }
  std::vector<tensor::NamedParameter>& parameters() { return parameters_; }
  std::vector<UnitBuffers>& units() { return units_; }
  const std::vector<UnitBuffers>& units() const { return units_; }
  const Location& location(int parameter) const { return locations_[parameter]; }
  tensor::SlotPool* gradient_slots() { return gradient_slots_.get(); }
  tensor::SlotPool& gradient_slots_or_make();
  const Options& options() const { return options_; }
  const std::vector<optim::StateSpec>& state_specs() const { return state_specs_; }
  c10::Device device() const { return device_; }
  int rank() const { return rank_; }
  int world() const { return world_; }

  /// The trainable lanes' bytes of one unit in the accumulation dtype, and each lane's offset in a slot.
  int64_t slot_bytes(int unit) const;
  int64_t slot_offset_bytes(int unit, int lane) const;
  /// The lane of a unit that starts `unit_offset` bytes into the slot (a slot can hold several small units).
  at::Tensor slot_view(int slot, int64_t unit_offset, int unit, int lane);
  /// Trainable elements of each unit, padding included.
  std::vector<int64_t> trainable_numels() const;
  c10::ScalarType accumulation_type() const;
  c10::ScalarType wire_type() const;

  /// Whole gradient lanes of `unit`, allocated where the lifetime alone would not (no_sync at stages 2 and 3).
  void keep_gradients_whole(int unit);

  /// Checks that every parameter of units that stay whole still lies in its lane, and moves one back that was replaced
  /// (module.to, set data).
  void reattach_parameters();

  /// Masters follow the parameters, which were changed in place.
  void refresh_masters();

  HeldBytes held_bytes() const;

 private:
  std::string first_parameters(const plan::Unit& unit) const;
  void allocate(const std::vector<plan::Unit>& units);
  bool stays_whole(const plan::Unit& unit);
  void allocate_whole_gradients(size_t first_unit);
  void allocate_owned(LaneBuffers& lane);
  void fill_from_parameters(size_t first, comm::Communicator& data);
  void make_slots();

  std::vector<tensor::NamedParameter> parameters_;
  Options options_;
  std::vector<optim::StateSpec> state_specs_;
  c10::Device device_;
  comm::Communicator& data_;
  int rank_;
  int world_;
  std::vector<UnitBuffers> units_;
  std::vector<Location> locations_;
  int64_t persistent_numel_ = 0;  // of units that stay whole at stage 3
  std::unique_ptr<tensor::SlotPool> gradient_slots_;
};

}  // namespace deepspeed::zero
