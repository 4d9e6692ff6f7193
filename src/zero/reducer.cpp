// The life of a gradient between autograd and the optimizer step.
#include "zero/reducer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "deepspeed/error.h"
#include "plan/buckets.h"
#include "plan/reduction_order.h"
#include "precision/accumulate.h"

namespace deepspeed::zero {
namespace {

// A parameter that got no gradient in this many backwards in a row is not waited for any more.
constexpr int kUnusedStreak = 2;

}  // namespace

Reducer::Reducer(LaneStore& store, comm::Communicator& data) : store_(store), data_(data) {
  units_.resize(store.units().size());
  parameters_.resize(store.parameters().size());
  hooks_.resize(store.parameters().size());
  for (size_t unit = 0; unit < units_.size(); ++unit) {
    for (const LaneBuffers& lane : store.units()[unit].lanes) {
      if (!lane.plan.trainable) continue;
      for (const plan::Placement& placement : lane.plan.placements)
        units_[unit].parameters.push_back(placement.parameter);
    }
  }
  const Options& options = store.options();
  const double ranks = options.average_over_ranks ? data.size() : 1.0;
  reduce_scale_ = options.predivide_factor / ranks;
  late_ = at::zeros({static_cast<int64_t>(units_.size())}, at::kFloat);
  refresh_hooks();
}

void Reducer::refresh_hooks() {
  for (size_t parameter = 0; parameter < hooks_.size(); ++parameter) {
    const Location& where = store_.location(static_cast<int>(parameter));
    const bool trainable = store_.units()[where.unit].lanes[where.lane].plan.trainable;
    const at::Tensor& tensor = store_.parameters()[parameter].tensor;
    if (!trainable) {
      hooks_[parameter].reset();
    } else if (tensor.requires_grad() && (!hooks_[parameter] || !hooks_[parameter]->is_current(tensor))) {
      attach_hook(static_cast<int>(parameter));
    }
  }
}

void Reducer::attach_hook(int parameter) {
  const at::Tensor& tensor = store_.parameters()[parameter].tensor;
  hooks_[parameter] = std::make_unique<tensor::GradientHook>(
      tensor, [this, parameter] { gradient_ready(parameter); }, [this] { before_gradient(); });
}

void Reducer::note_use(int unit) {
  if (!order_agreed_) first_uses_.push_back(unit);
}

void Reducer::agree_order() {
  if (order_agreed_) return;
  const std::vector<int> mine = plan::reduction_order(first_uses_, static_cast<int>(units_.size()));
  at::Tensor order = at::empty({static_cast<int64_t>(mine.size())}, at::kLong);
  std::copy(mine.begin(), mine.end(), order.data_ptr<int64_t>());
  if (data_.size() > 1 && !mine.empty()) {
    order = order.to(data_.control_device());
    data_.broadcast(order, 0, {.step = step_, .phase = comm::Phase::kSetup, .unit = -1, .name = "the reduction order"})
        .wait();
    order = order.cpu();
  }
  const int64_t* begin = order.data_ptr<int64_t>();
  cut_into_buckets({begin, begin + order.numel()});
  order_agreed_ = true;
}

void Reducer::cut_into_buckets(const std::vector<int>& order) {
  const std::vector<int64_t> numels = store_.trainable_numels();
  const int64_t largest = numels.empty() ? 0 : *std::max_element(numels.begin(), numels.end());
  const int64_t capacity = plan::bucket_capacity(store_.options().reduce_bucket_size, largest);
  for (std::vector<int>& units : plan::cut_buckets(order, numels, capacity)) {
    const std::string& first = store_.units()[units.front()].name;
    const std::string& last = store_.units()[units.back()].name;
    int64_t offset = 0;
    for (const int unit : units) {
      units_[unit].bucket = static_cast<int>(buckets_.size());
      units_[unit].bucket_offset = offset;
      offset += store_.slot_bytes(unit);
    }
    buckets_.push_back({.units = std::move(units), .name = first == last ? first : first + " to " + last});
  }
}

void Reducer::begin_backward(const BackwardSettings& settings) {
  const std::lock_guard lock(mutex_);
  apply(settings);
}

void Reducer::apply(const BackwardSettings& settings) {
  policy_ = settings.policy;
  scale_ = settings.scale / store_.options().predivide_factor;
  step_ = settings.step;
  in_backward_ = true;
  if (policy_ == ReducePolicy::kNow) agree_order();
}

at::Tensor Reducer::target(int unit, int parameter) {
  const Location& where = store_.location(parameter);
  const LaneBuffers& lane = store_.units()[unit].lanes[where.lane];
  const UnitState& state = units_[unit];
  const at::Tensor whole =
      state.open == Open::kLane ? lane.gradients : store_.slot_view(state.slot, state.slot_offset, unit, where.lane);
  return whole.narrow(0, where.range.begin, where.range.numel());
}

// Before the accumulation: while `.grad` is a view of the lane, autograd would add into the lane itself.
void Reducer::before_gradient() {
  const std::lock_guard lock(mutex_);
  if (!in_backward_ && unannounced_) apply(unannounced_());
}

void Reducer::gradient_ready(int parameter) {
  const std::lock_guard lock(mutex_);
  at::Tensor& tensor = store_.parameters()[parameter].tensor;
  at::Tensor& gradient = tensor.mutable_grad();
  if (!gradient.defined()) return;
  const int unit = store_.location(parameter).unit;
  ParameterState& state = parameters_[parameter];
  const at::Tensor dense = gradient.is_sparse() ? gradient.to_dense() : gradient.detach();
  if (dense.numel() > 0) {
    if (units_[unit].open == Open::kNone) open(unit);
    const at::Tensor into = target(unit, parameter);
    state.written ? precision::add_scaled_into(into, dense, scale_) : precision::scale_into(into, dense, scale_);
  }
  state.written = true;
  gradient.reset();
  ++state.ready;
  if (policy_ == ReducePolicy::kNow) launch_ready();
}

bool Reducer::holds_gradient(int parameter) const {
  const UnitState& state = units_[store_.location(parameter).unit];
  return state.filled || (state.open == Open::kLane && parameters_[parameter].written);
}

bool Reducer::replace_gradient(int parameter, const at::Tensor& value) {
  const Location& where = store_.location(parameter);
  const UnitState& state = units_[where.unit];
  const bool is_local = state.open == Open::kLane;
  if (!state.filled && !is_local) return false;
  LaneBuffers& lane = store_.units()[where.unit].lanes[where.lane];
  const at::Tensor flat = value.detach().reshape({-1});
  if (is_local) {
    const at::Tensor into = target(where.unit, parameter);
    state.filled ? void(into.zero_()) : precision::scale_into(into, flat, 1.0);
    parameters_[parameter].written = true;
  }
  const plan::Range mine = plan::intersect(where.range, lane.owned);
  if (state.filled && !mine.empty()) {
    precision::scale_into(lane.owned_gradient.narrow(0, mine.begin - lane.owned.begin, mine.numel()),
                          flat.narrow(0, mine.begin - where.range.begin, mine.numel()), 1.0);
  }
  return true;
}

void Reducer::open(int unit) {
  UnitState& state = units_[unit];
  const bool keep = policy_ == ReducePolicy::kKeepLocal;
  if (state.in_lane || (state.launched && policy_ == ReducePolicy::kNow)) {
    open_late(unit);
  } else if (lives_in_lane() || keep) {
    if (keep) store_.keep_gradients_whole(unit);
    state.open = Open::kLane;
  } else {
    open_in_bucket(unit);
  }
  for (const int parameter : state.parameters) parameters_[parameter].written = false;
}

void Reducer::open_late(int unit) {
  UnitState& state = units_[unit];
  state.slot = acquire_slot(store_.units()[unit].name);
  state.slot_offset = 0;
  state.open = Open::kSlot;
  state.late = true;
  zero_gaps(unit);
}

void Reducer::open_in_bucket(int unit) {
  UnitState& state = units_[unit];
  Bucket& bucket = buckets_[state.bucket];
  if (bucket.slot < 0) bucket.slot = acquire_slot(bucket.name);
  state.slot = bucket.slot;
  state.slot_offset = state.bucket_offset;
  state.open = Open::kSlot;
  zero_gaps(unit);
}

// Gaps between parameters hold what another unit left there; they take part in sums and norms.
void Reducer::zero_gaps(int unit) {
  const UnitState& state = units_[unit];
  const auto& lanes = store_.units()[unit].lanes;
  for (size_t index = 0; index < lanes.size(); ++index) {
    if (!lanes[index].plan.trainable) continue;
    const at::Tensor view = store_.slot_view(state.slot, state.slot_offset, unit, static_cast<int>(index));
    int64_t end = 0;
    for (const plan::Placement& placement : lanes[index].plan.placements) {
      if (placement.range.begin > end) view.narrow(0, end, placement.range.begin - end).zero_();
      end = placement.range.end;
    }
    if (end < view.numel()) view.narrow(0, end, view.numel() - end).zero_();
  }
}

int Reducer::acquire_slot(const std::string& reason) {
  tensor::SlotPool& pool = store_.gradient_slots_or_make();
  // Slots that are on their way come back by waiting; only units that wait for their turn make the pool grow.
  while (true) {
    if (const int slot = pool.try_acquire(); slot >= 0) return slot;
    const bool returns =
        std::any_of(in_flight_.begin(), in_flight_.end(), [](const InFlight& flight) { return flight.slot >= 0; });
    if (!returns) return pool.acquire_or_grow(reason);
    finish_front();
  }
}

void Reducer::zero_unwritten(int unit) {
  for (const int parameter : units_[unit].parameters) {
    ParameterState& state = parameters_[parameter];
    if (!state.written && store_.location(parameter).range.numel() > 0) target(unit, parameter).zero_();
    state.written = true;
  }
}

bool Reducer::is_final(int unit) const {
  return std::all_of(units_[unit].parameters.begin(), units_[unit].parameters.end(),
                     [&](int parameter) { return parameters_[parameter].ready >= parameters_[parameter].expected; });
}

bool Reducer::is_final(const Bucket& bucket) const {
  return std::all_of(bucket.units.begin(), bucket.units.end(),
                     [&](int unit) { return units_[unit].in_lane || is_final(unit); });
}

void Reducer::launch_ready() {
  for (; next_ < buckets_.size() && is_final(buckets_[next_]); ++next_) launch_bucket(buckets_[next_]);
}

void Reducer::launch_bucket(Bucket& bucket) {
  std::vector<int> units;  // what an earlier backward of this window reduced in its lane waits for late gradients
  for (const int unit : bucket.units) {
    if (units_[unit].in_lane) continue;
    if (units_[unit].open == Open::kNone) open(unit);
    units.push_back(unit);
  }
  if (!units.empty()) launch(units, std::exchange(bucket.slot, -1), bucket.name);
}

void Reducer::launch_late(int unit) {
  if (units_[unit].open == Open::kNone) {
    open_late(unit);
    for (const int parameter : units_[unit].parameters) parameters_[parameter].written = false;
  }
  launch({unit}, units_[unit].slot, store_.units()[unit].name);
}

at::Tensor Reducer::whole_gradient(int unit, Open open, int slot, int64_t slot_offset, size_t lane) {
  if (open == Open::kLane) return store_.units()[unit].lanes[lane].gradients;
  return store_.slot_view(slot, slot_offset, unit, static_cast<int>(lane));
}

// The sum goes straight to the owned gradient, unless that holds something to which it must be added.
void Reducer::launch(const std::vector<int>& units, int slot, std::string_view name) {
  InFlight flight{.units = {}, .slot = slot, .works = {}};
  std::vector<at::Tensor> buffers;
  std::vector<at::Tensor> results;
  for (const int unit : units) {
    UnitState& state = units_[unit];
    zero_unwritten(unit);
    const bool lies_there = state.open == Open::kLane && lives_in_lane();
    const bool adds = state.filled && !lies_there;
    DS_INTERNAL_CHECK(adds || lies_there || !whole_on_every_rank(), "late gradients of a unit that was not reduced");
    const auto& lanes = store_.units()[unit].lanes;
    for (size_t index = 0; index < lanes.size(); ++index) {
      if (!lanes[index].plan.trainable) continue;
      buffers.push_back(whole_gradient(unit, state.open, state.slot, state.slot_offset, index));
      const plan::Range shard = lanes[index].plan.shard(store_.rank(), store_.world());
      results.push_back(adds || whole_on_every_rank() ? buffers.back().narrow(0, shard.begin, shard.numel())
                                                      : lanes[index].owned_gradient);
    }
    flight.units.push_back({unit, state.open, state.slot, state.slot_offset, adds});
    state.launched = true;
    state.open = Open::kNone;
    state.slot = -1;
    state.late = false;
  }
  const UnitBuffers& first = store_.units()[units.front()];
  const comm::Tag tag{.step = step_,
                      .phase = comm::Phase::kReduce,
                      .unit = units.front(),
                      .name = name,
                      .parameters = first.parameters};
  in_flight_.push_back(std::move(flight));  // before what may throw: abandon_backward() then finds it
  std::vector<comm::Work>& works = in_flight_.back().works;
  works.push_back(data_.reduce_scatter(buffers, results, reduce_scale_, store_.wire_type(), tag));
  if (whole_on_every_rank()) works.push_back(data_.all_gather(buffers, tag));
  ++num_reductions_;
  if (!store_.options().overlap_comm) finish_all();
}

void Reducer::add_to_owned(const Flown& flown) {
  auto& lanes = store_.units()[flown.unit].lanes;
  for (size_t index = 0; index < lanes.size(); ++index) {
    if (!lanes[index].plan.trainable) continue;
    const at::Tensor whole = whole_gradient(flown.unit, flown.from, flown.slot, flown.slot_offset, index);
    precision::add_scaled_into(lanes[index].owned_gradient, lanes[index].owned_part(whole), 1.0);
  }
}

void Reducer::finish_front() {
  for (comm::Work& work : in_flight_.front().works) work.wait();  // where one throws, abandon_backward() finds the rest
  const InFlight flight = std::move(in_flight_.front());
  in_flight_.pop_front();
  for (const Flown& flown : flight.units) {
    if (flown.adds) add_to_owned(flown);
    UnitState& state = units_[flown.unit];
    state.filled = true;
    state.in_lane = lives_in_lane();
  }
  if (flight.slot >= 0) store_.gradient_slots()->release(flight.slot);
}

void Reducer::finish_all() {
  while (!in_flight_.empty()) finish_front();
}

void Reducer::reduce_late() {
  if (units_.empty()) return;
  float* flags = late_.data_ptr<float>();
  for (size_t unit = 0; unit < units_.size(); ++unit) flags[unit] = units_[unit].late ? 1.0F : 0.0F;
  if (data_.size() > 1) {
    const at::Tensor shared = late_.to(data_.control_device());  // itself on the CPU
    data_
        .all_reduce(shared, 1.0,
                    {.step = step_, .phase = comm::Phase::kReduce, .unit = -1, .name = "the list of late gradients"})
        .wait();
    if (!shared.is_same(late_)) late_.copy_(shared);
  }
  finish_all();
  for (const Bucket& bucket : buckets_) {
    for (const int unit : bucket.units) {
      if (flags[unit] != 0.0F) launch_late(unit);
      finish_all();
    }
  }
}

void Reducer::learn_counts() {
  for (UnitState& unit : units_) unit.launched = false;
  for (ParameterState& parameter : parameters_) {
    parameter.unused_streak = parameter.ready == 0 ? parameter.unused_streak + 1 : 0;
    if (parameter.ready > 0) {
      parameter.expected = parameter.ready;
    } else if (parameter.unused_streak >= kUnusedStreak) {
      parameter.expected = 0;
    }
    parameter.ready = 0;
  }
}

void Reducer::backward_done() {
  const std::lock_guard lock(mutex_);
  if (policy_ == ReducePolicy::kNow) {
    agree_order();
    for (; next_ < buckets_.size(); ++next_) launch_bucket(buckets_[next_]);
    finish_all();
    reduce_late();
    finish_all();
  }
  learn_counts();
  next_ = 0;
  in_backward_ = false;
}

void Reducer::fill_missing() {
  for (size_t index = 0; index < units_.size(); ++index) {
    if (units_[index].filled) continue;
    for (LaneBuffers& lane : store_.units()[index].lanes) {
      if (lane.plan.trainable) lane.owned_gradient.zero_();
    }
  }
}

void Reducer::start_window() {
  const std::lock_guard lock(mutex_);
  DS_INTERNAL_CHECK(in_flight_.empty(), "a boundary step with ", in_flight_.size(), " reductions on their way");
  reset_units();
  if (store_.gradient_slots() != nullptr) store_.gradient_slots()->shrink();
}

void Reducer::reset_units() {
  for (Bucket& bucket : buckets_) {
    if (bucket.slot >= 0) store_.gradient_slots()->release(std::exchange(bucket.slot, -1));
  }
  for (UnitState& unit : units_) {
    if (unit.open == Open::kSlot && unit.late) store_.gradient_slots()->release(unit.slot);
    unit.open = Open::kNone;
    unit.slot = -1;
    unit.late = unit.filled = unit.in_lane = unit.launched = false;
  }
}

void Reducer::abandon_backward() noexcept {
  const std::lock_guard lock(mutex_);
  for (InFlight& flight : in_flight_) {
    for (comm::Work& work : flight.works) {
      try {
        work.wait();                     // its buffers must not be touched before
      } catch (const std::exception&) {  // the first error is already on its way to the caller
      }
    }
    if (flight.slot >= 0) store_.gradient_slots()->release(flight.slot);
  }
  in_flight_.clear();
  reset_units();
  for (ParameterState& parameter : parameters_) parameter.ready = 0;
  next_ = 0;
  in_backward_ = false;
}

}  // namespace deepspeed::zero
