// Moving whole parameters to their owners and back.
#include "zero/owner_step.h"

#include <ATen/ATen.h>

#include "plan/owners.h"
#include "zero/gather.h"

namespace deepspeed::zero {

OwnerStep::OwnerStep(LaneStore& store, comm::Communicator& data)
    : store_(store), data_(data), masters_(store.parameters().size()) {
  std::vector<int64_t> numels;
  for (size_t index = 0; index < store.parameters().size(); ++index)
    numels.push_back(store.location(static_cast<int>(index)).range.numel());
  owners_ = plan::assign_owners(numels, data.size());
  refresh_masters(0);
}

void OwnerStep::refresh_masters(int64_t step) {
  for (size_t unit = 0; unit < store_.units().size(); ++unit) {
    for (LaneBuffers& lane : store_.units()[unit].lanes) {
      if (!lane.plan.trainable || !has_own_master(unit, lane)) continue;
      const at::Tensor whole = gather_lane(store_, lane, lane.master, data_,
                                           {.step = step,
                                            .phase = comm::Phase::kGather,
                                            .unit = static_cast<int>(unit),
                                            .name = store_.units()[unit].name});
      for (const plan::Placement& placement : lane.plan.placements) {
        if (!owns(placement.parameter)) continue;
        const at::Tensor value = whole.narrow(0, placement.range.begin, placement.range.numel())
                                     .view(store_.parameters()[placement.parameter].tensor.sizes());
        at::Tensor& master = masters_[placement.parameter];
        master.defined() ? void(master.copy_(value)) : void(master = value.clone());
      }
    }
  }
}

bool OwnerStep::has_own_master(size_t unit, const LaneBuffers& lane) const {
  return lane.needs_master_copy() || store_.units()[unit].released;
}

void OwnerStep::set_master(int parameter, const at::Tensor& value) {
  at::Tensor& master = masters_[parameter];
  if (master.defined()) master.copy_(value.detach().reshape(master.sizes()));
}

int64_t OwnerStep::scratch_bytes() const {
  int64_t bytes = 0;
  for (const at::Tensor& master : masters_) bytes += master.defined() ? static_cast<int64_t>(master.nbytes()) : 0;
  return bytes;
}

at::Tensor OwnerStep::value_of(int parameter) {
  return masters_[parameter].defined() ? masters_[parameter] : store_.parameters()[parameter].tensor.detach();
}

std::vector<OwnedParameter> OwnerStep::begin(double scale, const std::vector<bool>& resting, int64_t step) {
  std::vector<OwnedParameter> owned;
  for (size_t unit = 0; unit < store_.units().size(); ++unit) {
    for (LaneBuffers& lane : store_.units()[unit].lanes) {
      if (!lane.plan.trainable) continue;
      const comm::Tag tag{.step = step,
                          .phase = comm::Phase::kReduce,
                          .unit = static_cast<int>(unit),
                          .name = store_.units()[unit].name};
      const at::Tensor whole = gather_lane(store_, lane, lane.owned_gradient, data_, tag);
      for (const plan::Placement& placement : lane.plan.placements) {
        if (!owns(placement.parameter) || resting[placement.parameter]) continue;
        const at::Tensor gradient =
            whole.narrow(0, placement.range.begin, placement.range.numel()).to(at::kFloat).mul(scale);
        owned.push_back({placement.parameter, value_of(placement.parameter),
                         gradient.view(store_.parameters()[placement.parameter].tensor.sizes())});
      }
    }
  }
  return owned;
}

void OwnerStep::finish(int64_t step) {
  for (size_t unit = 0; unit < store_.units().size(); ++unit) {
    for (LaneBuffers& lane : store_.units()[unit].lanes) {
      if (!lane.plan.trainable) continue;
      for (const plan::Placement& placement : lane.plan.placements) {
        if (placement.range.empty()) continue;
        const bool released = store_.units()[unit].released;
        const at::Tensor place =
            released ? at::Tensor() : lane.parameters.narrow(0, placement.range.begin, placement.range.numel());
        // What travels: the float32 master, which for whole float32 lanes is the parameter's own place.
        const at::Tensor value = !has_own_master(unit, lane) ? place
                                 : owns(placement.parameter)
                                     ? masters_[placement.parameter].view({-1})
                                     : at::empty({placement.range.numel()}, lane.master.options());
        data_
            .broadcast(value, owners_[placement.parameter],
                       {.step = step,
                        .phase = comm::Phase::kGather,
                        .unit = static_cast<int>(unit),
                        .name = store_.parameters()[placement.parameter].name})
            .wait();
        if (!has_own_master(unit, lane)) continue;
        released ? cut_into_owned(lane, placement.range, value, lane.owned_parameters) : void(place.copy_(value));
        if (lane.needs_master_copy()) cut_into_owned(lane, placement.range, value, lane.master);
      }
    }
  }
}

}  // namespace deepspeed::zero
