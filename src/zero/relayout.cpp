// Unit by unit: gather the old shards of one kind, cut out what the new layout owns.
#include "zero/relayout.h"

#include <ATen/ATen.h>

#include "deepspeed/error.h"
#include "zero/gather.h"

namespace deepspeed::zero {
namespace {

constexpr comm::Tag kTag{
    .step = 0, .phase = comm::Phase::kSetup, .unit = -1, .name = "the new layout after (un)freezing"};

/// Copies every parameter of `lane` that is trainable in `to` from `whole` into what `select` names there.
template <class Select>
void scatter(const LaneBuffers& lane, const at::Tensor& whole, LaneStore& to, const Select& select) {
  for (const plan::Placement& placement : lane.plan.placements) {
    const Location& where = to.location(placement.parameter);
    LaneBuffers& target = to.units()[where.unit].lanes[where.lane];
    if (!target.plan.trainable) continue;
    const plan::Range mine = plan::intersect(where.range, target.owned);
    if (mine.empty()) continue;
    const int64_t source_begin = placement.range.begin + mine.begin - where.range.begin;
    select(target)
        .narrow(0, mine.begin - target.owned.begin, mine.numel())
        .copy_(whole.narrow(0, source_begin, mine.numel()));
  }
}

}  // namespace

void relayout(LaneStore& from, LaneStore& to, comm::Communicator& data) {
  const at::NoGradGuard no_grad;
  DS_INTERNAL_CHECK(from.parameters().size() == to.parameters().size(), "relayout between models of ",
                    from.parameters().size(), " and ", to.parameters().size(), " parameters");
  for (UnitBuffers& unit : from.units()) {
    for (LaneBuffers& lane : unit.lanes) {
      if (!lane.plan.trainable) continue;
      if (lane.needs_master_copy())
        scatter(lane, gather_lane(from, lane, lane.master, data, kTag), to,
                [](LaneBuffers& target) { return target.master; });
      for (size_t state = 0; state < lane.states.size(); ++state) {
        scatter(lane, gather_lane(from, lane, lane.states[state], data, kTag), to,
                [state](LaneBuffers& target) { return target.states[state]; });
      }
    }
  }
}

}  // namespace deepspeed::zero
