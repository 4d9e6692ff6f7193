// How optimizers walk a lane: checks of what they were given, pieces of segments spread over threads, and all segments
// in one launch on a GPU.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include <c10/core/DeviceGuard.h>

#include "core/dtype.h"
#include "kernels/optimizer_cuda_kernels.h"
#include "kernels/update_range.h"
#include "optim/range_optimizer.h"
#include "tensor/parallel.h"

namespace deepspeed::optim {

/// Smaller lanes stay on the calling thread; of larger ones each thread takes half as many elements at least.
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

/// Calls body(segment, begin, end) for pieces that together cover every segment once, on torch's threads,
/// which part at cache lines: a thread that begins inside one makes every vector of its share lie across two.
template <class Body>
void for_each_piece(const LaneShard& lane, const Body& body) {
  const auto segments = lane.segments;
  const int64_t numel = lane.master.numel();
  constexpr int64_t kLineNumel = kernels::kLineNumel;
  const int64_t num_lines = (numel + kLineNumel - 1) / kLineNumel;
  tensor::parallel_for(num_lines, kThreadGrainNumel / kLineNumel, [&](int64_t first_line, int64_t last_line) {
    const int64_t begin = first_line * kLineNumel;
    const int64_t end = std::min(last_line * kLineNumel, numel);
    auto segment = std::upper_bound(segments.begin(), segments.end(), begin,
                                    [](int64_t at, const Segment& s) { return at < s.end; });
    for (; segment != segments.end() && segment->begin < end; ++segment) {
      const int64_t from = std::max(begin, segment->begin);
      const int64_t to = std::min(end, segment->end);
      if (from < to) body(*segment, from, to);
    }
  });
}

/// The kernels' arguments of every segment that is not empty: make(segment, begin, end).
template <class Make>
auto args_of_segments(const LaneShard& lane, const Make& make) {
  std::vector<decltype(make(lane.segments[0], 0, 0))> args;
  for (const Segment& segment : lane.segments) {
    if (segment.begin < segment.end) args.push_back(make(segment, segment.begin, segment.end));
  }
  return args;
}

/// Where a lane on a GPU is updated: makes its device current, and holds memory for one launch on the current stream.
class LaunchSite {
 public:
  LaunchSite(const at::Tensor& master, int64_t table_bytes);
  void* table() const { return table_.data_ptr(); }
  void* stream() const { return stream_; }

 private:
  c10::DeviceGuard guard_;
  at::Tensor table_;
  void* stream_;
};

/// Runs a kernel over the whole lane: a piece a thread on the CPU, one launch on a GPU. make(segment, begin, end) gives
/// the arguments of elements [begin, end).
template <class Args, class Make>
void run_kernel(const LaneShard& lane, void (*on_cpu)(const Args&), void (*on_gpu)(std::span<const Args>, void*, void*),
                const Make& make) {
  if (lane.master.is_cpu()) {
    for_each_piece(lane,
                   [&](const Segment& segment, int64_t begin, int64_t end) { on_cpu(make(segment, begin, end)); });
    return;
  }
  const std::vector<Args> args = args_of_segments(lane, make);
  const LaunchSite site(lane.master, kernels::cuda_table_bytes<Args>(static_cast<int64_t>(args.size())));
  on_gpu(args, site.table(), site.stream());
}

/// One segment of a lane as tensors, for devices without kernels of ours and as the reference.
struct SegmentTensors {
  at::Tensor master;
  at::Tensor gradient;  ///< float32, scaled; a copy that may be changed
  at::Tensor compute;
  std::vector<at::Tensor> state;
};
SegmentTensors segment_tensors(const LaneShard& lane, const Segment& segment, double gradient_scale);

}  // namespace deepspeed::optim
