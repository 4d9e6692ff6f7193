// Checks of lanes and their views, for all optimizers.
#include "optim/lane.h"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "deepspeed/error.h"

namespace deepspeed::optim {
namespace {

void check_tensor(const at::Tensor& tensor, const LaneShard& lane, std::string_view optimizer, std::string_view what) {
  DS_CHECK(tensor.defined(), ValueError, "[optim.", optimizer, "] ", what,
           " is undefined, expected a 1-D tensor of the lane's length.");
  DS_CHECK(tensor.dim() == 1 && tensor.numel() == lane.master.numel(), ValueError, "[optim.", optimizer, "] ", what,
           " has shape ", tensor.sizes(), ", expected [", lane.master.numel(), "] as the master weights.");
  DS_CHECK(tensor.is_contiguous(), ValueError, "[optim.", optimizer, "] ", what,
           " is not contiguous. Pass a contiguous 1-D tensor.");
  DS_CHECK(tensor.device() == lane.master.device(), ValueError, "[optim.", optimizer, "] ", what, " is on ",
           tensor.device(), ", expected ", lane.master.device(), " as the master weights.");
}

void check_float32(const at::Tensor& tensor, std::string_view optimizer, std::string_view what) {
  DS_CHECK(tensor.scalar_type() == at::kFloat, ValueError, "[optim.", optimizer, "] ", what, " has dtype ",
           tensor.scalar_type(), ", expected float32.");
}

void check_segments(const LaneShard& lane, size_t num_groups, std::string_view optimizer) {
  int64_t last = 0;
  for (const Segment& segment : lane.segments) {
    DS_CHECK(segment.begin >= last && segment.end >= segment.begin && segment.end <= lane.master.numel(), ValueError,
             "[optim.", optimizer, "] got segment [", segment.begin, ", ", segment.end, ") after element ", last,
             " of a lane of ", lane.master.numel(), " elements, expected ascending segments inside the lane.");
    DS_CHECK(segment.group >= 0 && static_cast<size_t>(segment.group) < num_groups, ValueError, "[optim.", optimizer,
             "] got group ", segment.group, ", expected 0 to ", static_cast<int64_t>(num_groups) - 1, ".");
    DS_CHECK(segment.step >= 1, ValueError, "[optim.", optimizer, "] got step ", segment.step,
             ", expected 1 for the first update.");
    last = segment.end;
  }
}

}  // namespace

core::Dtype lane_dtype(const at::Tensor& tensor, std::string_view optimizer, std::string_view what) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return core::Dtype::kFloat32;
    case at::kBFloat16:
      return core::Dtype::kBFloat16;
    case at::kHalf:
      return core::Dtype::kFloat16;
    default:
      throw ValueError(concat("[optim.", optimizer, "] ", what, " has dtype ", tensor.scalar_type(),
                              ", expected float32, bfloat16 or float16."));
  }
}

void check_lane(const LaneShard& lane, size_t num_states, size_t num_groups, std::string_view optimizer) {
  DS_CHECK(lane.master.defined() && lane.master.dim() == 1, ValueError, "[optim.", optimizer,
           "] the master weights are not a 1-D tensor.");
  check_tensor(lane.master, lane, optimizer, "the master weights' tensor");
  check_float32(lane.master, optimizer, "the master weights' tensor");
  check_tensor(lane.gradient, lane, optimizer, "the gradient");
  lane_dtype(lane.gradient, optimizer, "the gradient");
  if (lane.compute.defined()) {
    check_tensor(lane.compute, lane, optimizer, "the compute tensor");
    lane_dtype(lane.compute, optimizer, "the compute tensor");
  }
  DS_CHECK(lane.state.size() == num_states, ValueError, "[optim.", optimizer, "] got ", lane.state.size(),
           " state tensors, expected ", num_states, " in the order of state_specs().");
  for (const at::Tensor& state : lane.state) {
    check_tensor(state, lane, optimizer, "a state tensor");
    check_float32(state, optimizer, "a state tensor");
  }
  check_segments(lane, num_groups, optimizer);
}

kernels::UpdateRange make_update_range(const LaneShard& lane, int64_t begin, int64_t end, double gradient_scale) {
  kernels::UpdateRange range;
  range.master = lane.master.data_ptr<float>() + begin;
  range.gradient_dtype = lane_dtype(lane.gradient, "lane", "the gradient");
  range.gradient =
      static_cast<const char*>(lane.gradient.const_data_ptr()) + begin * core::dtype_bytes(range.gradient_dtype);
  if (lane.compute.defined()) {
    range.compute_dtype = lane_dtype(lane.compute, "lane", "the compute tensor");
    range.compute = static_cast<char*>(lane.compute.data_ptr()) + begin * core::dtype_bytes(range.compute_dtype);
  }
  range.numel = end - begin;
  range.gradient_scale = static_cast<float>(gradient_scale);
  return range;
}

// A stream by way of torch's guards, which builds without CUDA have too.
LaunchSite::LaunchSite(const at::Tensor& master, int64_t table_bytes)
    : guard_(master.device()),
      table_(at::empty({table_bytes}, master.options().dtype(at::kByte))),
      stream_(c10::impl::VirtualGuardImpl(master.device().type()).getStream(master.device()).native_handle()) {}

SegmentTensors segment_tensors(const LaneShard& lane, const Segment& segment, double gradient_scale) {
  const auto cut = [&](const at::Tensor& tensor) {
    return tensor.detach().narrow(0, segment.begin, segment.end - segment.begin);
  };
  SegmentTensors tensors;
  tensors.master = cut(lane.master);
  tensors.gradient = cut(lane.gradient).to(at::kFloat).mul(gradient_scale);
  if (lane.compute.defined()) tensors.compute = cut(lane.compute);
  for (const at::Tensor& state : lane.state) tensors.state.push_back(cut(state));
  return tensors;
}

}  // namespace deepspeed::optim
