// The whole boundary step (norm, unscale, clip, update, cast) beside the same with torch's operators: what
// clip_grad_norm_, AdamW(fused=True) and zero_grad(set_to_none=False) call. One process, one rank, in turns.
//   boundary_step [--threads N] [--rounds N] [--bf16]
// Ours zeroes nothing: the first gradient of the next window overwrites. torch's pass that zeroes is in its time, as
// training with gradients that stay in their buckets has it.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "optim/range_optimizer.h"
#include "plan/unit.h"
#include "zero/boundary_step.h"
#include "zero/lane_store.h"

namespace deepspeed::benchmarks {
namespace {

constexpr double kMaxNorm = 1.0;
constexpr double kLearningRate = 1e-4;
constexpr double kWeightDecay = 0.01;

/// Shapes of a LLaMA of 35 M parameters, by unit.
std::vector<std::vector<std::vector<int64_t>>> unit_shapes() {
  std::vector<std::vector<std::vector<int64_t>>> units = {{{16'000, 512}}};
  for (int block = 0; block < 8; ++block) {
    units.push_back(
        {{512, 512}, {512, 512}, {512, 512}, {512, 512}, {1'536, 512}, {1'536, 512}, {512, 1'536}, {512}, {512}});
  }
  return units;
}

/// Our engine's step over lanes, with gradients in place.
class Ours {
 public:
  explicit Ours(bool bf16) {
    values_.lr = kLearningRate;
    values_.weight_decay = kWeightDecay;
    optimizer_ = optim::make_optimizer("adamw", values_);
    std::vector<tensor::NamedParameter> parameters;
    std::vector<plan::ParameterInfo> infos;
    std::vector<plan::Unit> units;
    const core::Dtype dtype = bf16 ? core::Dtype::kBFloat16 : core::Dtype::kFloat32;
    for (const auto& shapes : unit_shapes()) {
      std::vector<int> members;
      for (const std::vector<int64_t>& shape : shapes) {
        const std::string name = "p" + std::to_string(infos.size());
        members.push_back(static_cast<int>(infos.size()));
        const at::Tensor values = at::randn(shape).mul_(0.02).requires_grad_(true);
        infos.push_back({.name = name, .numel = values.numel(), .dtype = dtype, .trainable = true, .group = 0});
        parameters.push_back({name, values, 0});
      }
      units.push_back(plan::lay_out_unit("u" + std::to_string(units.size()), members, infos, 1));
    }
    zero::Options options;
    if (bf16) options.compute_dtype = core::Dtype::kBFloat16;
    store_.emplace(parameters, units, options, optimizer_->state_specs(), rank_);
    step_.emplace(*store_, rank_);
    for (zero::UnitBuffers& unit : store_->units()) {
      for (zero::LaneBuffers& lane : unit.lanes) lane.owned_gradient.normal_(0.0, 1e-3);
    }
  }

  void run() {
    const zero::StepResult inspected = step_->inspect({.gradient_clipping = kMaxNorm});
    step_->apply(*optimizer_, std::span(&values_, 1), inspected, 0);
  }

 private:
  comm::SingleRank rank_{at::kCPU};
  optim::Hyperparameters values_;
  std::unique_ptr<optim::RangeOptimizer> optimizer_;
  std::optional<zero::LaneStore> store_;
  std::optional<zero::BoundaryStep> step_;
};

/// The same with torch's operators, a tensor a parameter; with bf16 weights the masters are float32 copies.
class Torchs {
 public:
  explicit Torchs(bool bf16) : bf16_(bf16) {
    for (const auto& shapes : unit_shapes()) {
      for (const std::vector<int64_t>& shape : shapes) {
        masters_.push_back(at::randn(shape).mul_(0.02));
        exp_avgs_.push_back(at::zeros(shape));
        exp_avg_sqs_.push_back(at::zeros(shape));
        steps_.push_back(at::zeros({}));
        gradients_.push_back(at::randn(shape).mul_(1e-3));
        if (bf16) {
          weights_.push_back(masters_.back().to(at::kBFloat16));
          weight_gradients_.push_back(gradients_.back().to(at::kBFloat16));
        }
      }
    }
  }

  void run() {
    if (bf16_) at::_foreach_copy_(gradients_, weight_gradients_);
    const at::Tensor norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(gradients_)));
    at::_foreach_mul_(gradients_, norm.add(1e-6).reciprocal_().mul_(kMaxNorm).clamp_max_(1.0));
    at::_foreach_add_(steps_, 1.0);
    at::_fused_adamw_(masters_, gradients_, exp_avgs_, exp_avg_sqs_, {}, steps_, kLearningRate, 0.9, 0.999,
                      kWeightDecay, 1e-8, /*amsgrad=*/false, /*maximize=*/false);
    if (bf16_) at::_foreach_copy_(weights_, masters_);
    // Not into gradients_: the same work on the same bytes, and the next round finds gradients.
    if (zeroed_.empty()) {
      for (const at::Tensor& gradient : bf16_ ? weight_gradients_ : gradients_)
        zeroed_.push_back(at::empty_like(gradient).fill_(1.0));
    }
    at::_foreach_zero_(zeroed_);
  }

 private:
  bool bf16_;
  std::vector<at::Tensor> masters_, exp_avgs_, exp_avg_sqs_, steps_, gradients_, weights_, weight_gradients_, zeroed_;
};

template <class System>
double milliseconds(System& system) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  system.run();
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

void print(const char* name, std::vector<double> values, const char* format) {
  std::sort(values.begin(), values.end());
  const size_t last = values.size() - 1;
  std::printf(format, name, values[values.size() / 2], values[last / 4], values[last - last / 4]);
}

void measure(int threads, int rounds, bool bf16) {
  at::set_num_threads(threads);
  const c10::NoGradGuard no_grad;
  Ours ours(bf16);
  Torchs torchs(bf16);
  std::vector<double> our_times, torch_times, ratios;
  for (int round = -2; round < rounds; ++round) {  // the first two are not counted
    const bool ours_first = round % 2 == 0;
    const double first = ours_first ? milliseconds(ours) : milliseconds(torchs);
    const double second = ours_first ? milliseconds(torchs) : milliseconds(ours);
    if (round < 0) continue;
    our_times.push_back(ours_first ? first : second);
    torch_times.push_back(ours_first ? second : first);
    ratios.push_back(torch_times.back() / our_times.back());
  }
  std::printf("AdamW, %s, %d thread(s), %d rounds; median [quartiles]\n", bf16 ? "bf16 weights, fp32 masters" : "fp32",
              threads, rounds);
  print("ours", our_times, "%s: %.1f ms [%.1f %.1f]\n");
  print("torch's", torch_times, "%s: %.1f ms [%.1f %.1f]\n");
  print("ours is faster", ratios, "%s, x: %.2f [%.2f %.2f]\n");
}

}  // namespace
}  // namespace deepspeed::benchmarks

int main(int argc, char** argv) {
  CLI::App app("The boundary step beside torch's operators");
  int threads = 1;
  int rounds = 21;
  bool bf16 = false;
  app.add_option("--threads", threads, "of ATen's pool")->check(CLI::Range(1, 1024));
  app.add_option("--rounds", rounds, "counted pairs of steps")->check(CLI::Range(1, 100'000));
  app.add_flag("--bf16", bf16, "bfloat16 weights with float32 masters");
  CLI11_PARSE(app, argc, argv);
  deepspeed::benchmarks::measure(threads, rounds, bf16);
  return 0;
}
