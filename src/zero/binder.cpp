// Slots as a cache of whole units.
#include "zero/binder.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>

#include "deepspeed/error.h"
#include "tensor/released_parameter.h"
#include "zero/gather.h"

namespace deepspeed::zero {
namespace {

int64_t largest_released(const LaneStore& store) {
  int64_t largest = 0;
  for (const UnitBuffers& unit : store.units()) {
    int64_t bytes = 0;
    for (const LaneBuffers& lane : unit.lanes) bytes += lane.plan.numel * lane.owned_parameters.element_size();
    if (unit.released) largest = std::max(largest, bytes);
  }
  return largest;
}

}  // namespace

Binder::Binder(LaneStore& store, comm::Communicator& gathers)
    : store_(store),
      gathers_(gathers),
      slots_("parameters", largest_released(store), store.options().overlap_comm ? 2 : 1,
             [&gathers, options = at::TensorOptions(store.device()).dtype(at::kByte)](int64_t bytes) {
               return gathers.make_buffer(bytes, options);
             }),
      units_(store.units().size()),
      numels_(store.numels()),
      storages_(store.parameters().size()) {}

Binder::~Binder() {
  for (UnitState& unit : units_) {
    try {
      unit.gather.wait();              // its slot must not be freed before
    } catch (const std::exception&) {  // a dead rank was reported where it mattered
    }
  }
  for (int parameter = 0; parameter < static_cast<int>(storages_.size()); ++parameter) {
    if (!is_released(parameter)) continue;
    const std::string& name = store_.parameters()[parameter].name;
    if (!keeps(parameter)) {
      tensor::forget(storage(parameter));
    } else {
      tensor::unwatch(store_.parameters()[parameter].tensor, storage(parameter));
      tensor::release(*storage(parameter),
                      concat("[zero] parameter ", name, " was sharded over the ranks by an engine that is gone. Call ",
                             "engine.destroy() on all ranks to get whole parameters back."));
    }
  }
}

std::string Binder::why_released(int parameter) const { return released_message(store_.parameters()[parameter].name); }

void Binder::start() { extend(); }

void Binder::extend() {
  const std::lock_guard lock(mutex_);
  invalidate();
  slots_.raise(largest_released(store_));
  const int first = static_cast<int>(watched_up_to_);
  watched_up_to_ = store_.parameters().size();
  storages_.resize(watched_up_to_);
  units_.resize(store_.units().size());
  numels_ = store_.numels();
  for (int parameter = first; parameter < static_cast<int>(storages_.size()); ++parameter) {
    if (!store_.units()[unit_of(parameter)].released) continue;
    const at::Tensor& tensor = store_.parameters()[parameter].tensor;
    storages_[parameter] = tensor.storage();
    tensor::watch(tensor, weak_from_this(), parameter);
  }
}

void Binder::drop(int parameter) {
  const std::lock_guard lock(mutex_);
  const Location& where = store_.location(parameter);
  if (units_[where.unit].slot >= 0) evict(where.unit);
  if (is_released(parameter)) tensor::forget(storage(parameter));
  storages_[parameter] = {};
  LaneBuffers& lane = store_.units()[where.unit].lanes[where.lane];
  lane.owned_parameters = lane.owned_parameters.new_empty({0});
  store_.parameters()[parameter].tensor.reset();
}

bool Binder::keeps(int parameter) const {
  return is_released(parameter) && tensor::storage_of(store_.parameters()[parameter].tensor) == storage(parameter);
}

void Binder::begin_pass(bool with_gradients, int64_t step) {
  const std::lock_guard lock(mutex_);
  drop_pins_of_graphs();
  with_gradients_ = with_gradients;
  step_ = step;
  last_used_ = -1;
  traces_[with_gradients].begin_pass();
}

void Binder::before_use(std::span<const tensor::Touch> touches) {
  const std::lock_guard lock(mutex_);
  size_t pinned = 0;
  try {
    while (pinned < touches.size()) {
      const int parameter = touches[pinned].index;
      ++units_[unit_of(parameter)].pins;
      ++pinned;
      if (!held_.contains(parameter)) ensure(unit_of(parameter));
    }
  } catch (...) {
    while (pinned-- > 0) --units_[unit_of(touches[pinned].index)].pins;
    throw;
  }
}

void Binder::after_use(std::span<const tensor::Touch> touches) noexcept {
  const std::lock_guard lock(mutex_);
  for (const tensor::Touch& touch : touches) {
    --units_[unit_of(touch.index)].pins;
    if (!touch.writes) continue;
    if (const auto held = held_.find(touch.index); held != held_.end()) {
      held->second.written = true;
    } else {
      units_[unit_of(touch.index)].written.insert(touch.index);
    }
  }
}

void Binder::pin(std::span<const tensor::Touch> touches) {
  const std::lock_guard lock(mutex_);
  before_use(touches);
  for (const tensor::Touch& touch : touches) pinned_by_graphs_.push_back(touch.index);
}

void Binder::unpin(std::span<const tensor::Touch> touches) noexcept {
  const std::lock_guard lock(mutex_);
  for (const tensor::Touch& touch : touches) {
    const auto found = std::find(pinned_by_graphs_.begin(), pinned_by_graphs_.end(), touch.index);
    if (found == pinned_by_graphs_.end()) continue;
    pinned_by_graphs_.erase(found);
    after_use({&touch, 1});
  }
}

void Binder::drop_pins_of_graphs() noexcept {
  for (const int parameter : pinned_by_graphs_) --units_[unit_of(parameter)].pins;
  pinned_by_graphs_.clear();
}

void Binder::ensure(int unit) {
  UnitState& state = units_[unit];
  state.last_use = ++clock_;
  if (unit != last_used_) {
    last_used_ = unit;
    traces_[with_gradients_].note(unit);
    if (on_use_) on_use_(unit);
    if (state.slot < 0) launch(unit, slot_for(unit));
    if (!state.bound) finish(unit);
    prefetch();
  } else if (!state.bound) {
    if (state.slot < 0) launch(unit, slot_for(unit));
    finish(unit);
  }
}

at::Tensor Binder::lane_view(int unit, int lane) const {
  int64_t offset = 0;
  const auto& lanes = store_.units()[unit].lanes;
  for (int before = 0; before < lane; ++before)
    offset += lanes[before].plan.numel * lanes[before].owned_parameters.element_size();
  return slots_.view(units_[unit].slot, offset, lanes[lane].plan.numel, lanes[lane].owned_parameters.scalar_type());
}

at::Tensor Binder::place_of(int parameter) const {
  const Location& where = store_.location(parameter);
  return lane_view(where.unit, where.lane).narrow(0, where.range.begin, where.range.numel());
}

void Binder::launch(int unit, int slot) {
  const at::NoGradGuard no_grad;
  units_[unit].slot = slot;
  std::vector<at::Tensor> lanes;
  for (const LaneBuffers& lane : store_.units()[unit].lanes) {
    lanes.push_back(lane_view(unit, static_cast<int>(lanes.size())));
    lane.owned_part(lanes.back()).copy_(lane.owned_parameters);
  }
  ++statistics_.gathers;
  const UnitBuffers& buffers = store_.units()[unit];
  units_[unit].gather = gathers_.all_gather(lanes, {.step = step_,
                                                    .phase = comm::Phase::kGather,
                                                    .unit = unit,
                                                    .name = buffers.name,
                                                    .parameters = buffers.parameters});
}

void Binder::finish(int unit) {
  UnitState& state = units_[unit];
  if (!state.gather.is_done()) ++statistics_.waited_for;
  state.gather.wait();
  state.gather = {};
  bind_parameters(unit);
  state.bound = true;
}

void Binder::bind_parameters(int unit) {
  for (const LaneBuffers& lane : store_.units()[unit].lanes) {
    for (const plan::Placement& placement : lane.plan.placements) {
      if (!held_.contains(placement.parameter))
        tensor::bind(*storage(placement.parameter), place_of(placement.parameter));
    }
  }
}

// One unit ahead for each slot that the present one leaves: with two slots the next unit travels while this one is
// used. The first goes whatever its size, since its slot is there; 0 as the limit keeps it too.
void Binder::prefetch() {
  int64_t ahead = 0;
  for (const int unit : traces_[with_gradients_].next(static_cast<size_t>(slots_.count()) - 1)) {
    ahead += numels_[unit];
    const bool is_first = ahead == numels_[unit];
    const int64_t limit = store_.options().prefetch_bucket_size;
    if (limit == 0 || (ahead > limit && !is_first)) return;
    if (units_[unit].slot >= 0) continue;
    int slot = slots_.try_acquire();
    if (slot < 0) {
      const int leaving = victim();
      if (leaving < 0 || !is_needed_later(leaving, unit)) return;
      evict(leaving);
      slot = slots_.acquire_or_grow(store_.units()[unit].name);  // the one that has just become free
    }
    launch(unit, slot);
  }
}

int Binder::slot_for(int unit) {
  if (const int slot = slots_.try_acquire(); slot >= 0) return slot;
  if (const int leaving = victim(); leaving >= 0) {
    evict(leaving);
    return slots_.acquire_or_grow(store_.units()[unit].name);  // the one that has just become free
  }
  return grow(unit);
}

/// Of the units that no operator uses, the one that is needed last; -1 where all are in use.
int Binder::victim() const {
  int best = -1;
  for (int unit = 0; unit < static_cast<int>(units_.size()); ++unit) {
    if (units_[unit].slot < 0 || units_[unit].pins > 0) continue;
    if (best < 0 || is_needed_later(unit, best)) best = unit;
  }
  return best;
}

bool Binder::is_needed_later(int a, int b) const {
  const UnitTrace& trace = traces_[with_gradients_];
  const size_t distance_a = trace.distance(a);
  const size_t distance_b = trace.distance(b);
  return distance_a != distance_b ? distance_a > distance_b : units_[a].last_use < units_[b].last_use;
}

int Binder::grow(int unit) {
  int64_t live = numels_[unit];
  std::string names = store_.units()[unit].name;
  for (size_t other = 0; other < units_.size(); ++other) {
    if (units_[other].slot < 0) continue;
    live += numels_[other];
    names += ", " + store_.units()[other].name;
  }
  DS_CHECK(live <= store_.options().max_live_parameters, ValueError, "[zero] one operator needs the units ", names,
           " at once, ", live, " elements; zero_optimization.stage3_max_live_parameters is ",
           store_.options().max_live_parameters, ". Raise it, or touch fewer parameters at once.");
  ++statistics_.grown_slots;
  return slots_.acquire_or_grow(names);
}

void Binder::evict(int unit) {
  UnitState& state = units_[unit];
  if (!state.bound) state.gather.wait();
  write_back(unit);
  for (const LaneBuffers& lane : store_.units()[unit].lanes) {
    for (const plan::Placement& placement : lane.plan.placements) {
      if (state.bound && !held_.contains(placement.parameter))
        tensor::release(*storage(placement.parameter), why_released(placement.parameter));
    }
  }
  slots_.release(std::exchange(state.slot, -1));
  state.bound = false;
  state.gather = {};
}

void Binder::write_back(int parameter, const at::Tensor& whole) {
  const Location& where = store_.location(parameter);
  LaneBuffers& lane = store_.units()[where.unit].lanes[where.lane];
  cut_into_owned(lane, where.range, whole, lane.owned_parameters);
  if (lane.plan.trainable && lane.needs_master_copy()) cut_into_owned(lane, where.range, whole, lane.master);
}

void Binder::write_back(int unit) {
  const at::NoGradGuard no_grad;
  for (const int parameter : units_[unit].written) write_back(parameter, place_of(parameter));
  units_[unit].written.clear();
}

void Binder::write_back() {
  const std::lock_guard lock(mutex_);
  for (int unit = 0; unit < static_cast<int>(units_.size()); ++unit) write_back(unit);
}

void Binder::invalidate() {
  const std::lock_guard lock(mutex_);
  drop_pins_of_graphs();
  for (int unit = 0; unit < static_cast<int>(units_.size()); ++unit) {
    if (units_[unit].slot < 0) continue;
    DS_INTERNAL_CHECK(units_[unit].pins == 0, "weights change while an operator uses ", store_.units()[unit].name);
    evict(unit);
  }
  slots_.shrink();  // what the last step did without
  last_used_ = -1;
}

void Binder::reattach() {
  const std::lock_guard lock(mutex_);
  const at::NoGradGuard no_grad;
  for (int parameter = 0; parameter < static_cast<int>(storages_.size()); ++parameter) {
    at::Tensor& tensor = store_.parameters()[parameter].tensor;
    if (!is_released(parameter) || tensor::storage_of(tensor) == storage(parameter)) continue;
    const Location& where = store_.location(parameter);
    DS_CHECK(tensor.numel() == where.range.numel(), ValueError, "[zero] parameter ",
             store_.parameters()[parameter].name, " has ", tensor.numel(), " elements now, ", where.range.numel(),
             " at initialize. Call destroy() and initialize() again after resizing a model.");
    if (units_[where.unit].slot >= 0) evict(where.unit);
    write_back(parameter, tensor);
    tensor::forget(storage(parameter));
    tensor::make_released(tensor, store_.units()[where.unit].lanes[where.lane].owned_parameters.scalar_type(),
                          why_released(parameter));
    storages_[parameter] = tensor.storage();
    tensor::watch(tensor, weak_from_this(), parameter);
  }
}

void Binder::hold(const std::vector<int>& parameters) {
  const std::lock_guard lock(mutex_);
  const at::NoGradGuard no_grad;
  for (const int parameter : parameters) {
    if (!is_released(parameter)) continue;
    if (const auto known = held_.find(parameter); known != held_.end()) {
      ++known->second.depth;
      continue;
    }
    UnitState& state = units_[unit_of(parameter)];
    if (state.slot < 0) launch(unit_of(parameter), slot_for(unit_of(parameter)));
    if (!state.bound) finish(unit_of(parameter));
    Held& held = held_[parameter];  // not before: a gather that fails must leave nothing held
    held = {.buffer = place_of(parameter).clone(), .depth = 1};
    tensor::bind(*storage(parameter), held.buffer);
  }
}

void Binder::let_go(const std::vector<int>& parameters, int root) {
  const std::lock_guard lock(mutex_);
  const at::NoGradGuard no_grad;
  DS_CHECK(root < store_.world(), ValueError, "[zero] modifier_rank: got ", root, ", there are ", store_.world(),
           " ranks");
  for (const int parameter : parameters) {
    const auto found = held_.find(parameter);
    if (found == held_.end()) continue;
    Held& held = found->second;
    if (root >= 0) {
      const std::string& name = store_.parameters()[parameter].name;
      if (held.buffer.numel() > 0)
        gathers_
            .broadcast(held.buffer, root,
                       {.step = step_, .phase = comm::Phase::kGather, .unit = unit_of(parameter), .name = name})
            .wait();
      held.written = true;
    }
    if (--held.depth > 0) continue;
    if (held.written) write_back(parameter, held.buffer);
    const UnitState& state = units_[unit_of(parameter)];
    if (state.bound) {
      if (held.written) place_of(parameter).copy_(held.buffer);
      tensor::bind(*storage(parameter), place_of(parameter));
    } else {
      tensor::release(*storage(parameter), why_released(parameter));
    }
    held_.erase(found);
  }
}

void Binder::restore() {
  const std::lock_guard lock(mutex_);
  const at::NoGradGuard no_grad;
  for (int unit = 0; unit < static_cast<int>(units_.size()); ++unit) {
    if (!store_.units()[unit].released) continue;
    if (units_[unit].slot < 0) launch(unit, slot_for(unit));
    if (!units_[unit].bound) finish(unit);
    for (const LaneBuffers& lane : store_.units()[unit].lanes) {
      for (const plan::Placement& placement : lane.plan.placements) {
        at::Tensor& tensor = store_.parameters()[placement.parameter].tensor;
        const at::Tensor whole = place_of(placement.parameter).clone().view(tensor.sizes());
        tensor::unwatch(tensor, storage(placement.parameter));
        tensor.set_data(whole);
        storages_[placement.parameter] = {};
      }
    }
    slots_.release(std::exchange(units_[unit].slot, -1));
    units_[unit].bound = false;
  }
}

}  // namespace deepspeed::zero
