// Gathering owned parts, and cutting them out again.
#include "zero/gather.h"

#include <ATen/ATen.h>

namespace deepspeed::zero {

at::Tensor gather_lane(const LaneStore& store, const LaneBuffers& lane, const at::Tensor& owned,
                       comm::Communicator& data, const comm::Tag& tag) {
  if (!store.options().lifetimes.states_sharded) return owned;
  at::Tensor whole = at::zeros({lane.plan.numel}, owned.options());
  lane.owned_part(whole).copy_(owned);
  data.all_gather(whole, tag).wait();
  return whole;
}

plan::Range owned_elements(const LaneBuffers& lane, const plan::Range& parameter_range) {
  const plan::Range mine = plan::intersect(parameter_range, lane.owned);
  if (mine.empty()) return {0, 0};
  return {mine.begin - parameter_range.begin, mine.end - parameter_range.begin};
}

at::Tensor owned_view(const LaneBuffers& lane, const plan::Range& parameter_range, const at::Tensor& owned) {
  const plan::Range mine = plan::intersect(parameter_range, lane.owned);
  return mine.empty() ? owned.narrow(0, 0, 0) : owned.narrow(0, mine.begin - lane.owned.begin, mine.numel());
}

void cut_into_owned(const LaneBuffers& lane, const plan::Range& parameter_range, const at::Tensor& value,
                    const at::Tensor& owned) {
  const plan::Range mine = owned_elements(lane, parameter_range);
  if (mine.empty()) return;
  owned_view(lane, parameter_range, owned).copy_(value.detach().reshape({-1}).narrow(0, mine.begin, mine.numel()));
}

}  // namespace deepspeed::zero
