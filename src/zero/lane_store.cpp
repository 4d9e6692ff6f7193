// Allocating lanes and moving parameters into them.
#include "zero/lane_store.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "core/log.h"
#include "deepspeed/error.h"
#include "precision/accumulate.h"
#include "tensor/dtype.h"
#include "tensor/huge_pages.h"
#include "tensor/placed_parameter.h"
#include "tensor/released_parameter.h"

namespace deepspeed::zero {
namespace {

at::TensorOptions options_of(c10::ScalarType type, c10::Device device) {
  return at::TensorOptions().dtype(type).device(device);
}

at::Tensor zeros(int64_t numel, const at::TensorOptions& options) {
  return tensor::full_on_huge_pages(numel, 0.0, options);
}

constexpr size_t kNamedParameters = 2;  // of a unit, in errors

int64_t bytes_of(const at::Tensor& tensor) { return tensor.defined() ? static_cast<int64_t>(tensor.nbytes()) : 0; }

}  // namespace

std::string released_message(const std::string& name) {
  return concat("[zero] parameter ", name,
                " is sharded over the ranks (ZeRO stage 3), and this access to its data goes past torch's operators. "
                "Read or write it inside deepspeed.zero.GatheredParameters.");
}

LaneStore::LaneStore(std::vector<tensor::NamedParameter> parameters, const std::vector<plan::Unit>& units,
                     const Options& options, const std::vector<optim::StateSpec>& state_specs, comm::Communicator& data)
    : options_(options),
      state_specs_(state_specs),
      device_(parameters.empty() ? c10::Device(at::kCPU) : parameters.front().tensor.device()),
      data_(data),
      rank_(data.rank()),
      world_(data.size()) {
  append(parameters, units, data);
  make_slots();
}

LaneStore::LaneStore(const Options& options, c10::Device device, comm::Communicator& data)
    : options_(options), device_(device), data_(data), rank_(data.rank()), world_(data.size()) {}

void LaneStore::append(const std::vector<tensor::NamedParameter>& parameters, const std::vector<plan::Unit>& units,
                       comm::Communicator& data) {
  const size_t first = parameters_.size();
  parameters_.insert(parameters_.end(), parameters.begin(), parameters.end());
  allocate(units);
  fill_from_parameters(first, data);
}

void LaneStore::append_without_values(const std::vector<tensor::NamedParameter>& parameters,
                                      const std::vector<plan::Unit>& units) {
  const size_t first = parameters_.size();
  parameters_.insert(parameters_.end(), parameters.begin(), parameters.end());
  allocate(units);
  for (size_t index = first; index < parameters_.size(); ++index) {
    const Location& where = locations_[index];
    DS_INTERNAL_CHECK(units_[where.unit].released, parameters_[index].name, " stays whole and has no values");
    tensor::make_released(parameters_[index].tensor,
                          units_[where.unit].lanes[where.lane].owned_parameters.scalar_type(),
                          released_message(parameters_[index].name));
  }
}

c10::ScalarType LaneStore::accumulation_type() const {
  return tensor::to_scalar_type(options_.accumulation_dtype.value_or(core::Dtype::kFloat32));
}

c10::ScalarType LaneStore::wire_type() const {
  return options_.communication_dtype ? tensor::to_scalar_type(*options_.communication_dtype) : accumulation_type();
}

// A unit stays whole where it is small (a gather would cost more than it frees), the first ones first while they fit.
bool LaneStore::stays_whole(const plan::Unit& unit) {
  if (options_.lifetimes.parameters != plan::Lifetime::kBoundForUse || world_ == 1) return true;
  int64_t numel = 0;
  for (const plan::Lane& lane : unit.lanes) numel += lane.numel;
  const bool stays =
      numel < options_.persistence_threshold && persistent_numel_ + numel <= options_.model_persistence_threshold;
  if (stays) persistent_numel_ += numel;
  return stays;
}

std::string LaneStore::first_parameters(const plan::Unit& unit) const {
  std::string names;
  size_t count = 0;
  for (const plan::Lane& lane : unit.lanes) {
    for (const plan::Placement& placement : lane.placements) {
      const std::string& name = parameters_[placement.parameter].name;
      if (name == unit.name) return {};
      if (count < kNamedParameters) names += concat(count == 0 ? "" : ", ", name);
      ++count;
    }
  }
  return count > kNamedParameters ? concat(names, " and ", count - kNamedParameters, " more") : names;
}

void LaneStore::allocate(const std::vector<plan::Unit>& units) {
  locations_.resize(parameters_.size());
  const size_t first = units_.size();
  units_.resize(first + units.size());
  for (size_t unit = 0; unit < units.size(); ++unit) {
    UnitBuffers& buffers = units_[first + unit];
    buffers.name = units[unit].name;
    buffers.parameters = first_parameters(units[unit]);
    buffers.released = !stays_whole(units[unit]);
    for (const plan::Lane& plan : units[unit].lanes) {
      for (const plan::Placement& placement : plan.placements)
        locations_[placement.parameter] = {static_cast<int>(first + unit), static_cast<int>(buffers.lanes.size()),
                                           placement.range};
      LaneBuffers& lane = buffers.lanes.emplace_back();
      lane.plan = plan;
      lane.owned = options_.lifetimes.states_sharded ? plan.shard(rank_, world_) : plan::Range{0, plan.numel};
      const auto type = options_of(tensor::to_scalar_type(plan.dtype), device_);
      if (buffers.released) {
        lane.owned_parameters = zeros(lane.owned.numel(), type);
      } else {
        lane.parameters = zeros(plan.numel, type);
        lane.owned_parameters = lane.owned_part(lane.parameters);
      }
      if (plan.trainable) allocate_owned(lane);
    }
  }
  if (options_.lifetimes.gradients != plan::Lifetime::kUntilReduced) allocate_whole_gradients(first);
}

// One buffer for all lanes: what ranks share is counted in buffers.
void LaneStore::allocate_whole_gradients(size_t first_unit) {
  std::vector<LaneBuffers*> lanes;
  int64_t numel = 0;
  for (size_t unit = first_unit; unit < units_.size(); ++unit) {
    for (LaneBuffers& lane : units_[unit].lanes) {
      if (!lane.plan.trainable) continue;
      lanes.push_back(&lane);
      numel += lane.plan.numel;
    }
  }
  const at::Tensor all = data_.make_buffer(numel, options_of(accumulation_type(), device_)).zero_();
  int64_t begin = 0;
  for (LaneBuffers* lane : lanes) {
    lane->gradients = all.narrow(0, begin, lane->plan.numel);
    lane->owned_gradient = lane->owned_part(lane->gradients);
    begin += lane->plan.numel;
  }
}

void LaneStore::allocate_owned(LaneBuffers& lane) {
  DS_CHECK(lane.plan.dtype != core::Dtype::kFloat64, NotSupported, "[zero] parameter ",
           parameters_[lane.plan.placements.front().parameter].name,
           " is float64: trainable parameters are float32, bfloat16 or float16. Convert the model with .float().");
  if (options_.lifetimes.gradients == plan::Lifetime::kUntilReduced) {
    lane.owned_gradient = zeros(lane.owned.numel(), options_of(accumulation_type(), device_));
  }
  lane.master =
      lane.needs_master_copy() ? zeros(lane.owned.numel(), options_of(at::kFloat, device_)) : lane.owned_parameters;
  for (const optim::StateSpec& spec : state_specs_)
    lane.states.push_back(
        tensor::full_on_huge_pages(lane.owned.numel(), spec.initial_value, options_of(at::kFloat, device_)));
}

void LaneStore::fill_from_parameters(size_t first, comm::Communicator& data) {
  const at::NoGradGuard no_grad;
  for (size_t index = first; index < parameters_.size(); ++index) {
    tensor::NamedParameter& parameter = parameters_[index];
    const Location& where = locations_[index];
    LaneBuffers& lane = units_[where.unit].lanes[where.lane];
    at::Tensor values = parameter.tensor.detach().contiguous().view({-1});
    if (values.numel() > 0)
      data.broadcast(values, 0, {.phase = comm::Phase::kSetup, .unit = where.unit, .name = parameter.name}).wait();
    const plan::Range mine = plan::intersect(where.range, lane.owned);
    const auto cut = [&](const at::Tensor& owned) {
      if (!mine.empty())
        owned.narrow(0, mine.begin - lane.owned.begin, mine.numel())
            .copy_(values.narrow(0, mine.begin - where.range.begin, mine.numel()));
    };
    if (lane.plan.trainable && lane.needs_master_copy()) cut(lane.master);
    if (units_[where.unit].released) {
      cut(lane.owned_parameters);
      tensor::make_released(parameter.tensor, lane.owned_parameters.scalar_type(), released_message(parameter.name));
      continue;
    }
    if (values.numel() > 0) parameter.tensor.set_data(values.view(parameter.tensor.sizes()));
    tensor::place_in_lane(parameter.tensor, lane.parameters, where.range.begin);
  }
}

void LaneStore::release_parameters() {
  for (size_t index = 0; index < parameters_.size(); ++index) {
    const Location& where = locations_[index];
    const at::Tensor& lane = units_[where.unit].lanes[where.lane].parameters;
    // What another engine took over, or the user replaced, is not ours to move.
    if (lane.defined() && tensor::is_placed(parameters_[index].tensor, lane, where.range.begin))
      tensor::give_back(parameters_[index].tensor);
  }
}

bool LaneStore::has_released_units() const {
  return std::any_of(units_.begin(), units_.end(), [](const UnitBuffers& unit) { return unit.released; });
}

std::vector<int64_t> LaneStore::numels() const {
  std::vector<int64_t> numels;
  for (const UnitBuffers& unit : units_) {
    numels.push_back(0);
    for (const LaneBuffers& lane : unit.lanes) numels.back() += lane.plan.numel;
  }
  return numels;
}

int64_t LaneStore::slot_offset_bytes(int unit, int lane) const {
  const auto element_bytes = static_cast<int64_t>(c10::elementSize(accumulation_type()));
  int64_t offset = 0;
  for (int index = 0; index < lane; ++index) {
    const plan::Lane& plan = units_[unit].lanes[index].plan;
    if (plan.trainable) offset += plan.numel * element_bytes;
  }
  return offset;
}

int64_t LaneStore::slot_bytes(int unit) const {
  return slot_offset_bytes(unit, static_cast<int>(units_[unit].lanes.size()));
}

at::Tensor LaneStore::slot_view(int slot, int64_t unit_offset, int unit, int lane) {
  return gradient_slots_->view(slot, unit_offset + slot_offset_bytes(unit, lane), units_[unit].lanes[lane].plan.numel,
                               accumulation_type());
}

std::vector<int64_t> LaneStore::trainable_numels() const {
  std::vector<int64_t> numels;
  for (const UnitBuffers& unit : units_) {
    numels.push_back(0);
    for (const LaneBuffers& lane : unit.lanes) numels.back() += lane.plan.trainable ? lane.plan.numel : 0;
  }
  return numels;
}

void LaneStore::make_slots() {
  if (options_.lifetimes.gradients == plan::Lifetime::kUntilReduced) gradient_slots_or_make();
}

tensor::SlotPool& LaneStore::gradient_slots_or_make() {
  if (!gradient_slots_) {
    int64_t largest = 0;
    for (int unit = 0; unit < static_cast<int>(units_.size()); ++unit) largest = std::max(largest, slot_bytes(unit));
    const bool planned = options_.lifetimes.gradients == plan::Lifetime::kUntilReduced;
    const auto bytes_here = options_of(at::kByte, device_);
    gradient_slots_ = std::make_unique<tensor::SlotPool>(
        "gradients", largest, planned ? (options_.overlap_comm ? 2 : 1) : 0,
        [this, bytes_here](int64_t bytes) { return data_.make_buffer(bytes, bytes_here); });
  }
  return *gradient_slots_;
}

void LaneStore::keep_gradients_whole(int unit) {
  for (LaneBuffers& lane : units_[unit].lanes) {
    if (!lane.plan.trainable || lane.gradients.defined()) continue;
    core::log_once("whole gradients", core::LogLevel::kInfo,
                   "[zero] no_sync keeps whole gradients on every rank until the next reduction; this needs memory "
                   "that the stage alone would not");
    lane.gradients = zeros(lane.plan.numel, options_of(accumulation_type(), device_));
  }
}

void LaneStore::reattach_parameters() {
  for (size_t index = 0; index < parameters_.size(); ++index) {
    at::Tensor& parameter = parameters_[index].tensor;
    const Location& where = locations_[index];
    if (units_[where.unit].released) continue;
    const at::Tensor& lane = units_[where.unit].lanes[where.lane].parameters;
    if (tensor::is_placed(parameter, lane, where.range.begin)) continue;
    DS_CHECK(parameter.numel() == where.range.numel(), ValueError, "[zero] parameter ", parameters_[index].name,
             " has ", parameter.numel(), " elements now, ", where.range.numel(),
             " at initialize. Call destroy() and initialize() again after resizing a model.");
    tensor::place_in_lane(parameter, lane, where.range.begin);
    LaneBuffers& buffers = units_[where.unit].lanes[where.lane];
    const plan::Range mine = plan::intersect(where.range, buffers.owned);
    if (buffers.plan.trainable && buffers.needs_master_copy() && !mine.empty()) {
      buffers.master.narrow(0, mine.begin - buffers.owned.begin, mine.numel())
          .copy_(lane.narrow(0, mine.begin, mine.numel()));
    }
  }
}

void LaneStore::refresh_masters() {
  for (UnitBuffers& unit : units_) {
    for (LaneBuffers& lane : unit.lanes) {
      if (lane.plan.trainable && lane.needs_master_copy()) lane.master.copy_(lane.owned_parameters);
    }
  }
}

HeldBytes LaneStore::held_bytes() const {
  HeldBytes held;
  for (const UnitBuffers& unit : units_) {
    for (const LaneBuffers& lane : unit.lanes) {
      held.parameters += unit.released ? bytes_of(lane.owned_parameters) : bytes_of(lane.parameters);
      held.gradients += lane.gradients.defined() ? bytes_of(lane.gradients) : 0;
      if (!lane.gradients.defined() || options_.lifetimes.gradients == plan::Lifetime::kUntilReduced)
        held.gradients += bytes_of(lane.owned_gradient);
      if (lane.plan.trainable && lane.needs_master_copy()) held.states += bytes_of(lane.master);
      for (const at::Tensor& state : lane.states) held.states += bytes_of(state);
    }
  }
  if (gradient_slots_) held.slots = gradient_slots_->bytes();
  return held;
}

}  // namespace deepspeed::zero
