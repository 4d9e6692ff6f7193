// Lanes on a GPU: our kernels against the LibTorch operations that are their reference, and against our CPU kernels.
// Skipped by name where torch sees no GPU or the build has no nvcc.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/optimizer_cuda_kernels.h"
#include "optim/range_optimizer.h"

namespace deepspeed::optim {
namespace {

struct Case {
  const char* name;
  const char* type;
  Hyperparameters values;
};

std::vector<Case> all_cases() {
  return {{"adamw", "adamw", {.lr = 0.01, .weight_decay = 0.1}},
          {"adam_l2", "adam", {.lr = 0.01, .weight_decay = 0.1, .maximize = true, .adam_w_mode = false}},
          {"amsgrad", "adamw", {.lr = 0.01, .amsgrad = true}},
          {"sgd", "sgd", {.lr = 0.01, .weight_decay = 0.1}},
          {"sgd_momentum", "sgd", {.lr = 0.01, .momentum = 0.9, .dampening = 0.2}},
          {"sgd_nesterov", "sgd", {.lr = 0.01, .momentum = 0.9, .nesterov = true}},
          {"adagrad", "adagrad", {.lr = 0.01, .eps = 1e-10}},
          {"lion", "lion", {.lr = 0.01, .weight_decay = 0.1, .betas = {0.9, 0.99}}},
          {"lamb", "lamb", {.lr = 0.01, .weight_decay = 0.1}}};
}

class CudaLane : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) GTEST_SKIP() << "torch sees no GPU";
    if (!kernels::has_cuda_optimizers()) GTEST_SKIP() << "this build has no CUDA kernels";
  }

  struct Lane {
    at::Tensor master, gradient, compute;
    std::vector<at::Tensor> state;
    Lane to(const at::Device& device) const {
      Lane copy{master.to(device, /*non_blocking=*/false, /*copy=*/true),
                gradient.to(device),
                compute.to(device, /*non_blocking=*/false, /*copy=*/true),
                {}};
      for (const at::Tensor& tensor : state) copy.state.push_back(tensor.to(device, false, /*copy=*/true));
      return copy;
    }
  };

  static Lane make_lane(const RangeOptimizer& optimizer, at::ScalarType gradient, at::ScalarType compute) {
    Lane lane{at::randn({kNumel}), at::randn({kNumel}).to(gradient), at::zeros({kNumel}, compute), {}};
    for (const StateSpec& spec : optimizer.state_specs()) lane.state.push_back(at::full({kNumel}, spec.initial_value));
    return lane;
  }

  /// Three steps over aligned and ragged segments of two groups, with gaps.
  static void run(const RangeOptimizer& optimizer, Lane& lane, const Hyperparameters& values) {
    Hyperparameters groups[] = {values, values};
    groups[1].lr *= 3.0;
    for (int64_t step = 1; step <= 3; ++step) {
      const Segment segments[] = {{.begin = 0, .end = 5'000, .group = 0, .step = step, .parameter = 0},
                                  {.begin = 5'008, .end = 5'011, .group = 1, .step = step + 4, .parameter = 1},
                                  {.begin = 5'013, .end = 90'001, .group = 1, .step = step, .parameter = 2}};
      optimizer.step({.master = lane.master,
                      .gradient = lane.gradient,
                      .compute = lane.compute,
                      .state = lane.state,
                      .segments = segments},
                     groups, 0.5);
    }
  }

  static void expect_close(const Lane& got, const Lane& expected, double tolerance) {
    const auto difference = [](const at::Tensor& a, const at::Tensor& b) {
      const at::Tensor wide = b.cpu().to(at::kDouble);
      return ((a.cpu().to(at::kDouble) - wide).abs().max() / wide.abs().max().clamp_min(1e-30)).item<double>();
    };
    EXPECT_LE(difference(got.master, expected.master), tolerance);
    EXPECT_LE(difference(got.compute, expected.compute), std::max(tolerance, 0.01));  // one unit of 16 bits
    for (size_t i = 0; i < got.state.size(); ++i) {
      EXPECT_LE(difference(got.state[i], expected.state[i]), tolerance) << "state " << i;
    }
  }

  static constexpr int64_t kNumel = 90'112;
};

TEST_P(CudaLane, KernelsAgreeWithTheTorchOperationsAndWithTheCpuForAllDtypes) {
  const auto ours = make_optimizer(GetParam().type, GetParam().values);
  const auto reference = make_optimizer(GetParam().type, GetParam().values);
  ours->set_implementation(Implementation::kKernels);
  reference->set_implementation(Implementation::kTorch);
  for (const auto gradient : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const auto compute : {at::kFloat, at::kBFloat16, at::kHalf}) {
      SCOPED_TRACE(std::string(c10::toString(gradient)) + " to " + c10::toString(compute));
      at::manual_seed(11);
      Lane on_cpu = make_lane(*ours, gradient, compute);
      Lane on_gpu = on_cpu.to(at::kCUDA);
      Lane by_torch = on_gpu.to(at::kCUDA);
      run(*ours, on_cpu, GetParam().values);
      run(*ours, on_gpu, GetParam().values);
      run(*reference, by_torch, GetParam().values);
      expect_close(on_gpu, by_torch, 2e-6);
      expect_close(on_gpu, on_cpu, 1e-6);
    }
  }
}

TEST_P(CudaLane, TheSameStepsGiveTheSameBits) {
  const auto optimizer = make_optimizer(GetParam().type, GetParam().values);
  optimizer->set_implementation(Implementation::kKernels);
  at::manual_seed(12);
  Lane first = make_lane(*optimizer, at::kBFloat16, at::kBFloat16).to(at::kCUDA);
  Lane second = first.to(at::kCUDA);
  run(*optimizer, first, GetParam().values);
  run(*optimizer, second, GetParam().values);
  EXPECT_TRUE(at::equal(first.master, second.master));
  EXPECT_TRUE(at::equal(first.compute, second.compute));
}

INSTANTIATE_TEST_SUITE_P(All, CudaLane, testing::ValuesIn(all_cases()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace deepspeed::optim
