// One path for every stage: the owned range is a shard or the whole lane.
#include "zero/boundary_step.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "deepspeed/error.h"
#include "optim/clipping.h"
#include "plan/buckets.h"

namespace deepspeed::zero {
namespace {

optim::LaneShard shard_of(const LaneBuffers& lane) {
  return {.master = lane.master,
          .gradient = lane.owned_gradient,
          .compute = lane.needs_master_copy() ? lane.owned_parameters : at::Tensor(),
          .state = lane.states,
          .segments = lane.segments};
}

}  // namespace

BoundaryStep::BoundaryStep(LaneStore& store, comm::Communicator& data)
    : store_(store),
      data_(data),
      parameter_steps_(store.parameters().size(), 0),
      resting_(store.parameters().size(), false),
      partials_(at::zeros({store.world()}, at::kDouble)) {
  std::vector<int64_t> numels = store.trainable_numels();
  for (size_t unit = 0; unit < numels.size(); ++unit) {
    if (store.units()[unit].released) numels[unit] = 0;  // gathered when they are used
  }
  std::vector<int> order(numels.size());
  std::iota(order.begin(), order.end(), 0);
  const int64_t largest = numels.empty() ? 0 : *std::max_element(numels.begin(), numels.end());
  buckets_ = plan::cut_buckets(order, numels, plan::bucket_capacity(store.options().allgather_bucket_size, largest));
  bucket_ending_at_.assign(numels.size(), -1);
  for (size_t bucket = 0; bucket < buckets_.size(); ++bucket)
    bucket_ending_at_[buckets_[bucket].back()] = static_cast<int>(bucket);
}

double BoundaryStep::partial_of(int rank) const {
  double sum = 0.0;
  for (const UnitBuffers& unit : store_.units()) {
    for (const LaneBuffers& lane : unit.lanes) {
      if (!lane.plan.trainable) continue;
      const plan::Range shard = lane.plan.shard(rank, store_.world());
      sum += optim::sum_of_squares(lane.owned_gradient.narrow(0, shard.begin - lane.owned.begin, shard.numel()));
    }
  }
  return sum;
}

double BoundaryStep::gradient_norm(int64_t step) {
  std::vector<double> partials(store_.world());
  if (!store_.options().lifetimes.states_sharded) {
    for (int rank = 0; rank < store_.world(); ++rank) partials[rank] = partial_of(rank);
    return optim::global_norm(partials);
  }
  partials_.data_ptr<double>()[store_.rank()] = partial_of(store_.rank());
  if (store_.world() > 1) {
    const at::Tensor shared = partials_.to(data_.control_device());  // itself on the CPU
    data_.all_gather(shared, {.step = step, .phase = comm::Phase::kNorm}).wait();
    if (!shared.is_same(partials_)) partials_.copy_(shared);
  }
  partials.assign(partials_.data_ptr<double>(), partials_.data_ptr<double>() + store_.world());
  return optim::global_norm(partials);
}

std::string BoundaryStep::find_nonfinite(int64_t step) {
  std::string mine;
  for (const UnitBuffers& unit : store_.units()) {
    for (const LaneBuffers& lane : unit.lanes) {
      if (!lane.plan.trainable || !mine.empty()) continue;
      const int64_t element = optim::first_nonfinite(lane.owned_gradient);
      if (element < 0) continue;
      for (const plan::Piece& piece : plan::pieces_in(lane.plan, lane.owned)) {
        const int64_t in_lane = lane.owned.begin + element;
        if (in_lane < piece.in_lane.begin || in_lane >= piece.in_lane.end) continue;
        mine = concat(store_.parameters()[piece.parameter].name, " (rank ", store_.rank(), ", element ",
                      in_lane - piece.in_lane.begin + piece.in_parameter.begin, ")");
      }
    }
  }
  for (const std::string& found : data_.all_gather_strings(mine, {.step = step, .phase = comm::Phase::kNorm})) {
    if (!found.empty()) return found;
  }
  return "no parameter (the norm overflowed)";
}

StepResult BoundaryStep::inspect(const StepOptions& options) {
  StepResult result;
  if (options.check_overflow || options.gradient_clipping > 0) {
    const double scaled_norm = gradient_norm(options.step);
    result.gradient_norm = scaled_norm / options.loss_scale;
    result.overflow = options.check_overflow && !std::isfinite(scaled_norm);
    if (result.overflow) {
      result.first_nonfinite = find_nonfinite(options.step);
      return result;
    }
  }
  result.scale = optim::clip_factor(result.gradient_norm.value_or(0.0), options.gradient_clipping) / options.loss_scale;
  return result;
}

void BoundaryStep::apply(const optim::RangeOptimizer& optimizer, std::span<const optim::Hyperparameters> groups,
                         const StepResult& inspected, int64_t step) {
  advance_segments();
  if (const auto* with_norms = dynamic_cast<const optim::ParameterNormOptimizer*>(&optimizer)) {
    step_with_norms(*with_norms, groups, inspected.scale, step);
  } else {
    step_elementwise(optimizer, groups, inspected.scale, step);
  }
}

void BoundaryStep::advance_segments() {
  for (UnitBuffers& unit : store_.units()) {
    for (LaneBuffers& lane : unit.lanes) {
      if (!lane.plan.trainable) continue;
      for (const plan::Placement& placement : lane.plan.placements) {
        if (!resting_[placement.parameter]) ++parameter_steps_[placement.parameter];
      }
      lane.segments.clear();
      for (const plan::Piece& piece : plan::pieces_in(lane.plan, lane.owned)) {
        if (resting_[piece.parameter]) continue;
        lane.segments.push_back({.begin = piece.in_lane.begin - lane.owned.begin,
                                 .end = piece.in_lane.end - lane.owned.begin,
                                 .group = piece.group,
                                 .step = parameter_steps_[piece.parameter],
                                 .parameter = piece.parameter});
      }
    }
  }
}

void BoundaryStep::gather_after(int unit, int64_t step, std::vector<comm::Work>& works) {
  if (!store_.options().lifetimes.states_sharded || bucket_ending_at_[unit] < 0) return;
  std::vector<at::Tensor> lanes;
  for (const int member : buckets_[bucket_ending_at_[unit]]) {
    for (const LaneBuffers& lane : store_.units()[member].lanes) {
      if (lane.plan.trainable) lanes.push_back(lane.parameters);
    }
  }
  ++num_gathers_;
  works.push_back(data_.all_gather(
      lanes, {.step = step, .phase = comm::Phase::kGather, .unit = unit, .name = store_.units()[unit].name}));
}

void BoundaryStep::step_elementwise(const optim::RangeOptimizer& optimizer,
                                    std::span<const optim::Hyperparameters> groups, double scale, int64_t step) {
  std::vector<comm::Work> works;
  for (size_t unit = 0; unit < store_.units().size(); ++unit) {
    for (LaneBuffers& lane : store_.units()[unit].lanes) {
      if (lane.plan.trainable) optimizer.step(shard_of(lane), groups, scale);
    }
    gather_after(static_cast<int>(unit), step, works);
  }
  for (comm::Work& work : works) work.wait();
}

void BoundaryStep::make_norm_buffers() {
  norms_ = at::zeros({2 * static_cast<int64_t>(store_.parameters().size())}, at::kDouble);
  for (const UnitBuffers& unit : store_.units()) {
    for (const LaneBuffers& lane : unit.lanes) {
      if (lane.plan.trainable) updates_.push_back(at::empty_like(lane.master));
    }
  }
}

int64_t BoundaryStep::scratch_bytes() const {
  int64_t bytes = norms_.defined() ? static_cast<int64_t>(norms_.nbytes()) : 0;
  for (const at::Tensor& update : updates_) bytes += static_cast<int64_t>(update.nbytes());
  return bytes;
}

void BoundaryStep::step_with_norms(const optim::ParameterNormOptimizer& optimizer,
                                   std::span<const optim::Hyperparameters> groups, double scale, int64_t step) {
  const auto count = static_cast<int64_t>(store_.parameters().size());
  if (!norms_.defined()) make_norm_buffers();
  norms_.zero_();
  const std::span<double> weights(norms_.data_ptr<double>(), count);
  const std::span<double> updates(norms_.data_ptr<double>() + count, count);
  size_t next = 0;
  for (UnitBuffers& unit : store_.units()) {
    for (LaneBuffers& lane : unit.lanes) {
      if (lane.plan.trainable) optimizer.prepare(shard_of(lane), groups, scale, updates_[next++], weights, updates);
    }
  }
  if (store_.options().lifetimes.states_sharded && data_.size() > 1) {
    const at::Tensor shared = norms_.to(data_.control_device());
    data_.all_reduce(shared, 1.0, {.step = step, .phase = comm::Phase::kNorm}).wait();
    if (!shared.is_same(norms_)) norms_.copy_(shared);
  }
  std::vector<comm::Work> works;
  next = 0;
  for (size_t unit = 0; unit < store_.units().size(); ++unit) {
    for (LaneBuffers& lane : store_.units()[unit].lanes) {
      if (lane.plan.trainable) optimizer.apply(shard_of(lane), groups, updates_[next++], weights, updates);
    }
    gather_after(static_cast<int>(unit), step, works);
  }
  for (comm::Work& work : works) work.wait();
}

}  // namespace deepspeed::zero
