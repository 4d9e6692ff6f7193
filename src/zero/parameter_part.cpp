// Shards are cut the same at every stage; a stage only decides what is whole beside them.
#include "zero/parameter_part.h"

#include <ATen/core/grad_mode.h>

#include <vector>

namespace deepspeed::zero {

ParameterPart part_of(const LaneStore& store, int parameter) {
  const Location& where = store.location(parameter);
  const LaneBuffers& lane = store.units()[where.unit].lanes[where.lane];
  const plan::Range mine = plan::intersect(where.range, lane.plan.shard(store.rank(), store.world()));
  const int64_t begin = mine.begin - lane.owned.begin;
  if (mine.empty()) return {{0, 0}, lane.owned_parameters.narrow(0, 0, 0), {}};
  const bool has_master = lane.plan.trainable && lane.needs_master_copy();
  return {{mine.begin - where.range.begin, mine.end - where.range.begin},
          lane.owned_parameters.narrow(0, begin, mine.numel()),
          has_master ? lane.master.narrow(0, begin, mine.numel()) : at::Tensor()};
}

void gather_parts(LaneStore& store, comm::Communicator& data) {
  const at::NoGradGuard no_grad;
  for (int unit = 0; unit < static_cast<int>(store.units().size()); ++unit) {
    const UnitBuffers& buffers = store.units()[unit];
    std::vector<at::Tensor> whole;
    for (const LaneBuffers& lane : buffers.lanes) {
      if (lane.plan.numel == 0) continue;
      if (lane.parameters.defined()) whole.push_back(lane.parameters);
      const bool has_whole_master =
          lane.plan.trainable && lane.needs_master_copy() && lane.owned.numel() == lane.plan.numel;
      if (has_whole_master) whole.push_back(lane.master);
    }
    if (!whole.empty())
      data.all_gather(whole, {.step = 0, .phase = comm::Phase::kSetup, .unit = unit, .name = buffers.name}).wait();
  }
}

}  // namespace deepspeed::zero
