// How optimizers walk a lane: checks of what they were given, and pieces of segments spread over threads.
#pragma once

#include <algorithm>

#include <ATen/Parallel.h>

#include "core/dtype.h"
#include "kernels/update_range.h"
#include "optim/range_optimizer.h"

namespace deepspeed::optim {

/// Elements that one thread takes at least; smaller lanes stay on the calling thread.
constexpr int64_t kThreadGrainNumel = 65'536;

/// The element types that lanes may have. Throws ValueError that names `what`.
core::Dtype lane_dtype(const at::Tensor& tensor, std::string_view optimizer, std::string_view what);

/// Throws ValueError where a tensor's shape, dtype or device does not fit, segments are not ascending inside the lane,
/// a group does not exist or a step is below 1. `optimizer` names the caller.
void check_lane(const LaneShard& lane, size_t num_states, size_t num_groups, std::string_view optimizer);

/// The part of a kernel's arguments that is the same for all optimizers, for elements [begin, end) of the lane.
kernels::UpdateRange make_update_range(const LaneShard& lane, int64_t begin, int64_t end, double gradient_scale);

inline float* state_data(const LaneShard& lane, size_t state_index, int64_t begin) {
  return lane.state[state_index].data_ptr<float>() + begin;
}

/// Calls body(segment, begin, end) for pieces that together cover every segment once, on at::parallel_for's threads.
template <class Body>
void for_each_piece(const LaneShard& lane, const Body& body) {
  const auto segments = lane.segments;
  at::parallel_for(0, lane.master.numel(), kThreadGrainNumel, [&](int64_t begin, int64_t end) {
    auto segment = std::upper_bound(segments.begin(), segments.end(), begin,
                                    [](int64_t at, const Segment& s) { return at < s.end; });
    for (; segment != segments.end() && segment->begin < end; ++segment) {
      const int64_t from = std::max(begin, segment->begin);
      const int64_t to = std::min(end, segment->end);
      if (from < to) body(*segment, from, to);
    }
  });
}

/// One segment of a lane as tensors, for devices without kernels of ours.
struct SegmentTensors {
  at::Tensor master;
  at::Tensor gradient;  ///< float32, scaled; a copy that may be changed
  at::Tensor compute;
  std::vector<at::Tensor> state;
};
SegmentTensors segment_tensors(const LaneShard& lane, const Segment& segment, double gradient_scale);

}  // namespace deepspeed::optim
