// LAMB: two passes around the norms of whole parameters. Norms are taken in fixed chunks of each segment and added in
// order, so the bits do not depend on the number of threads.
#include "optim/lamb.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "deepspeed/error.h"
#include "kernels/lamb_kernels.h"
#include "kernels/norm_kernels.h"
#include "optim/lane.h"

namespace deepspeed::optim {
namespace {

struct Corrections {
  double inverse1 = 1.0;
  double inverse2 = 1.0;
};

Corrections corrections(const Hyperparameters& h, int64_t step) {
  if (!h.bias_correction) return {};
  const double count = static_cast<double>(step);
  return {1.0 / (1.0 - std::pow(h.betas[0], count)), 1.0 / (1.0 - std::pow(h.betas[1], count))};
}

/// One chunk of a segment, with the sums of squares that its pass leaves.
struct Chunk {
  const Segment* segment;
  int64_t begin;
  int64_t end;
  double weight_square = 0.0;
  double update_square = 0.0;
};

std::vector<Chunk> cut_chunks(std::span<const Segment> segments) {
  std::vector<Chunk> chunks;
  for (const Segment& segment : segments) {
    for (int64_t begin = segment.begin; begin < segment.end; begin += kernels::kNormChunkNumel) {
      chunks.push_back({&segment, begin, std::min(segment.end, begin + kernels::kNormChunkNumel)});
    }
  }
  return chunks;
}

kernels::LambPrepareArgs prepare_args(const LaneShard& lane, const Hyperparameters& h, double gradient_scale,
                                      const at::Tensor& scratch, const Segment& segment, int64_t begin, int64_t end) {
  const Corrections c = corrections(h, segment.step);
  return {.range = make_update_range(lane, begin, end, h.maximize ? -gradient_scale : gradient_scale),
          .exp_avg = state_data(lane, 0, begin),
          .exp_avg_sq = state_data(lane, 1, begin),
          .update = scratch.data_ptr<float>() + begin,
          .beta1 = static_cast<float>(h.betas[0]),
          .one_minus_beta1 = static_cast<float>(1.0 - h.betas[0]),
          .beta2 = static_cast<float>(h.betas[1]),
          .one_minus_beta2 = static_cast<float>(1.0 - h.betas[1]),
          .eps = static_cast<float>(h.eps),
          .inverse_correction1 = static_cast<float>(c.inverse1),
          .inverse_correction2 = static_cast<float>(c.inverse2),
          .weight_decay = static_cast<float>(h.weight_decay),
          .eps_inside_sqrt = h.eps_inside_sqrt};
}

void prepare_chunk(const LaneShard& lane, const Hyperparameters& h, double gradient_scale, const at::Tensor& scratch,
                   Chunk& chunk) {
  const auto args = prepare_args(lane, h, gradient_scale, scratch, *chunk.segment, chunk.begin, chunk.end);
  kernels::lamb_prepare(args);
  const int64_t numel = chunk.end - chunk.begin;
  chunk.weight_square = kernels::sum_of_squares(args.range.master, core::Dtype::kFloat32, numel);
  chunk.update_square = kernels::sum_of_squares(args.update, core::Dtype::kFloat32, numel);
}

void prepare_on_gpu(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale,
                    const at::Tensor& scratch, std::span<double> weight_squares, std::span<double> update_squares) {
  int64_t num_tiles = 0;
  std::vector<int> parameters;  // of each range
  const auto args = args_of_segments(lane, [&](const Segment& segment, int64_t begin, int64_t end) {
    num_tiles += kernels::num_cuda_tiles(end - begin);
    parameters.push_back(segment.parameter);
    return prepare_args(lane, groups[static_cast<size_t>(segment.group)], gradient_scale, scratch, segment, begin, end);
  });
  const auto count = static_cast<int64_t>(args.size());
  const LaunchSite site(lane.master, kernels::cuda_table_bytes<kernels::LambPrepareArgs>(count));
  const auto options = lane.master.options().dtype(at::kDouble);
  const at::Tensor partials = at::empty({2 * num_tiles}, options);
  const at::Tensor sums = at::empty({2 * count}, options);
  kernels::lamb_prepare_cuda(args, site.table(), partials.data_ptr<double>(), sums.data_ptr<double>(), site.stream());
  const at::Tensor on_cpu = sums.cpu();
  const double* sum = on_cpu.const_data_ptr<double>();
  for (const int parameter : parameters) {
    weight_squares[static_cast<size_t>(parameter)] += *sum++;
    update_squares[static_cast<size_t>(parameter)] += *sum++;
  }
}

void prepare_with_torch(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale,
                        const at::Tensor& scratch, std::span<double> weight_squares, std::span<double> update_squares) {
  for (const Segment& segment : lane.segments) {
    const Hyperparameters& h = groups[static_cast<size_t>(segment.group)];
    const Corrections c = corrections(h, segment.step);
    auto t = segment_tensors(lane, segment, h.maximize ? -gradient_scale : gradient_scale);
    t.state[0].mul_(h.betas[0]).add_(t.gradient, 1.0 - h.betas[0]);
    t.state[1].mul_(h.betas[1]).addcmul_(t.gradient, t.gradient, 1.0 - h.betas[1]);
    const at::Tensor corrected = t.state[1].mul(c.inverse2);
    const at::Tensor denominator = h.eps_inside_sqrt ? corrected.add(h.eps).sqrt_() : corrected.sqrt().add_(h.eps);
    const at::Tensor update = t.state[0].mul(c.inverse1).div_(denominator).add_(t.master, h.weight_decay);
    scratch.narrow(0, segment.begin, segment.end - segment.begin).copy_(update);
    const auto parameter = static_cast<size_t>(segment.parameter);
    weight_squares[parameter] += t.master.to(at::kDouble).square().sum().item<double>();
    update_squares[parameter] += update.to(at::kDouble).square().sum().item<double>();
  }
}

void check_norms(const LaneShard& lane, const at::Tensor& scratch, size_t weight_squares, size_t update_squares) {
  DS_CHECK(scratch.defined() && scratch.scalar_type() == at::kFloat && scratch.is_contiguous() &&
               scratch.sizes() == lane.master.sizes() && scratch.device() == lane.master.device(),
           ValueError, "[optim.lamb] scratch does not fit, expected a contiguous float32 tensor of ",
           lane.master.numel(), " elements on ", lane.master.device(), ".");
  for (const Segment& segment : lane.segments) {
    DS_CHECK(
        segment.parameter >= 0 && static_cast<size_t>(segment.parameter) < std::min(weight_squares, update_squares),
        ValueError, "[optim.lamb] got parameter ", segment.parameter, ", but there are ", weight_squares,
        " weight norms and ", update_squares, " update norms. Pass one of each per parameter.");
  }
}

}  // namespace

double lamb_trust_ratio(double weight_norm, double update_norm, const Hyperparameters& values) {
  if (weight_norm == 0.0 || update_norm == 0.0) return 1.0;
  return std::clamp(weight_norm / update_norm, values.min_coeff, values.max_coeff);
}

void Lamb::prepare(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale,
                   const at::Tensor& scratch, std::span<double> weight_squares,
                   std::span<double> update_squares) const {
  check_lane(lane, 2, groups.size(), name());
  check_norms(lane, scratch, weight_squares.size(), update_squares.size());
  if (!uses_kernels(lane)) {
    prepare_with_torch(lane, groups, gradient_scale, scratch, weight_squares, update_squares);
    return;
  }
  if (!lane.master.is_cpu()) {
    prepare_on_gpu(lane, groups, gradient_scale, scratch, weight_squares, update_squares);
    return;
  }
  std::vector<Chunk> chunks = cut_chunks(lane.segments);
  tensor::parallel_for(static_cast<int64_t>(chunks.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      Chunk& chunk = chunks[static_cast<size_t>(i)];
      prepare_chunk(lane, groups[static_cast<size_t>(chunk.segment->group)], gradient_scale, scratch, chunk);
    }
  });
  for (const Chunk& chunk : chunks) {
    weight_squares[static_cast<size_t>(chunk.segment->parameter)] += chunk.weight_square;
    update_squares[static_cast<size_t>(chunk.segment->parameter)] += chunk.update_square;
  }
}

void Lamb::apply(const LaneShard& lane, std::span<const Hyperparameters> groups, const at::Tensor& scratch,
                 std::span<const double> weight_squares, std::span<const double> update_squares) const {
  check_lane(lane, 2, groups.size(), name());
  check_norms(lane, scratch, weight_squares.size(), update_squares.size());
  const auto step_size = [&](const Segment& segment) {
    const Hyperparameters& h = groups[static_cast<size_t>(segment.group)];
    const auto parameter = static_cast<size_t>(segment.parameter);
    return h.lr * lamb_trust_ratio(std::sqrt(weight_squares[parameter]), std::sqrt(update_squares[parameter]), h);
  };
  if (uses_kernels(lane)) {
    const auto make = [&](const Segment& segment, int64_t begin, int64_t end) {
      return kernels::LambApplyArgs{.range = make_update_range(lane, begin, end, 1.0),
                                    .update = scratch.data_ptr<float>() + begin,
                                    .step_size = static_cast<float>(step_size(segment))};
    };
    run_kernel(lane, &kernels::lamb_apply, &kernels::lamb_apply_cuda, make);
    return;
  }
  for (const Segment& segment : lane.segments) {
    const auto cut = [&](const at::Tensor& tensor) {
      return tensor.detach().narrow(0, segment.begin, segment.end - segment.begin);
    };
    at::Tensor master = cut(lane.master);
    master.sub_(cut(scratch), step_size(segment));
    if (lane.compute.defined()) cut(lane.compute).copy_(master);
  }
}

}  // namespace deepspeed::optim
