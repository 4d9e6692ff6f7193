// Every optimizer kernel over many steps beside the textbook update in float64: the tolerances that the headers state.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include "kernels/adagrad_kernels.h"
#include "kernels/adam_kernels.h"
#include "kernels/lamb_kernels.h"
#include "kernels/lion_kernels.h"
#include "kernels/sgd_kernels.h"

namespace deepspeed::kernels {
namespace {

constexpr int64_t kNumel = 1'037;
constexpr int kSteps = 1'000;
constexpr double kLearningRate = 1e-3;
constexpr double kDecay = 0.01;
constexpr double kScale = 0.37;  // of gradients
constexpr double kBeta1 = 0.9;
constexpr double kBeta2 = 0.999;

struct Single {
  std::vector<float> weights, first, second, gradient;
  UpdateRange range() {
    return {.master = weights.data(),
            .gradient = gradient.data(),
            .numel = kNumel,
            .gradient_scale = static_cast<float>(kScale)};
  }
};

struct Double {
  std::vector<double> weights, first, second;
};

using SingleStep = std::function<void(Single&, int step)>;
/// Of element i, with the scaled gradient.
using DoubleStep = std::function<void(Double&, double gradient, int step, size_t i)>;

/// max |a - b| / max |b|.
double difference(const std::vector<float>& got, const std::vector<double>& expected) {
  double largest = 0.0;
  double worst = 0.0;
  for (size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::fabs(expected[i]));
    worst = std::max(worst, std::fabs(got[i] - expected[i]));
  }
  return largest == 0.0 ? worst : worst / largest;
}

/// Weights of size 1, gradients whose sizes span six decades over the elements, with a mean that differs from zero.
void expect_within(double tolerance, const SingleStep& single_step, const DoubleStep& double_step) {
  std::mt19937 generator(7);
  std::normal_distribution<float> normal;
  Single single;
  for (auto* array : {&single.weights, &single.first, &single.second, &single.gradient}) array->resize(kNumel);
  for (float& weight : single.weights) weight = normal(generator);
  Double twice{{single.weights.begin(), single.weights.end()},
               std::vector<double>(kNumel, 0.0),
               std::vector<double>(kNumel, 0.0)};
  for (int step = 1; step <= kSteps; ++step) {
    for (size_t i = 0; i < kNumel; ++i)
      single.gradient[i] = std::pow(10.0F, static_cast<float>(i % 7) - 5.0F) * (normal(generator) + 0.3F);
    single_step(single, step);
    for (size_t i = 0; i < kNumel; ++i) double_step(twice, kScale * static_cast<double>(single.gradient[i]), step, i);
  }
  EXPECT_LE(difference(single.weights, twice.weights), tolerance) << "weights";
  EXPECT_LE(difference(single.first, twice.first), tolerance) << "first state";
  EXPECT_LE(difference(single.second, twice.second), tolerance) << "second state";
}

void expect_adam_within(double tolerance, bool decoupled) {
  expect_within(
      tolerance,
      [&](Single& s, int step) {
        adam({.range = s.range(),
              .exp_avg = s.first.data(),
              .exp_avg_sq = s.second.data(),
              .beta1 = static_cast<float>(kBeta1),
              .one_minus_beta1 = static_cast<float>(1.0 - kBeta1),
              .beta2 = static_cast<float>(kBeta2),
              .one_minus_beta2 = static_cast<float>(1.0 - kBeta2),
              .step_size = static_cast<float>(kLearningRate / (1.0 - std::pow(kBeta1, step))),
              .inverse_sqrt_correction = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(kBeta2, step))),
              .weight_scale = decoupled ? static_cast<float>(1.0 - kLearningRate * kDecay) : 1.0F,
              .l2 = decoupled ? 0.0F : static_cast<float>(kDecay)});
      },
      [&](Double& d, double g, int step, size_t i) {
        double& w = d.weights[i];
        if (decoupled) {
          w -= kLearningRate * kDecay * w;
        } else {
          g += kDecay * w;
        }
        d.first[i] = kBeta1 * d.first[i] + (1.0 - kBeta1) * g;
        d.second[i] = kBeta2 * d.second[i] + (1.0 - kBeta2) * g * g;
        const double m_hat = d.first[i] / (1.0 - std::pow(kBeta1, step));
        const double v_hat = d.second[i] / (1.0 - std::pow(kBeta2, step));
        w -= kLearningRate * m_hat / (std::sqrt(v_hat) + static_cast<double>(AdamArgs().eps));
      });
}

TEST(Float64Oracle, AdamWIsWithinItsTolerance) { expect_adam_within(kAdamTolerance, true); }

TEST(Float64Oracle, AdamIsWithinItsTolerance) { expect_adam_within(kAdamTolerance, false); }

TEST(Float64Oracle, SgdIsWithinItsTolerance) {
  for (const bool nesterov : {false, true}) {
    expect_within(
        kSgdTolerance,
        [&](Single& s, int step) {
          sgd({.range = s.range(),
               .momentum_buffer = s.first.data(),
               .lr = static_cast<float>(kLearningRate),
               .momentum = 0.9F,
               .l2 = static_cast<float>(kDecay),
               .nesterov = nesterov,
               .first_step = step == 1});
        },
        [&](Double& d, double g, int step, size_t i) {
          g += kDecay * d.weights[i];
          d.first[i] = step == 1 ? g : 0.9 * d.first[i] + g;
          d.weights[i] -= kLearningRate * (nesterov ? g + 0.9 * d.first[i] : d.first[i]);
        });
  }
}

TEST(Float64Oracle, AdagradIsWithinItsTolerance) {
  expect_within(
      kAdagradTolerance,
      [&](Single& s, int) {
        adagrad({.range = s.range(), .sum = s.first.data(), .lr = 1e-2F, .l2 = static_cast<float>(kDecay)});
      },
      [&](Double& d, double g, int, size_t i) {
        g += kDecay * d.weights[i];
        d.first[i] += g * g;
        d.weights[i] -= 1e-2 * g / (std::sqrt(d.first[i]) + static_cast<double>(AdagradArgs().eps));
      });
}

TEST(Float64Oracle, LionIsWithinItsTolerance) {
  expect_within(
      kLionTolerance,
      [&](Single& s, int) {
        lion({.range = s.range(),
              .exp_avg = s.first.data(),
              .lr = 1e-4F,
              .weight_scale = static_cast<float>(1.0 - 1e-4 * kDecay)});
      },
      [&](Double& d, double g, int, size_t i) {
        const double mixed = kBeta1 * d.first[i] + (1.0 - kBeta1) * g;
        d.first[i] = 0.99 * d.first[i] + 0.01 * g;
        d.weights[i] -= 1e-4 * ((mixed > 0.0) - (mixed < 0.0) + kDecay * d.weights[i]);
      });
}

// The trust ratio is the optimizer's; here every step of both takes the same, so that only the kernels' rounding shows.
TEST(Float64Oracle, LambIsWithinItsTolerance) {
  constexpr double kTrustRatio = 0.8;
  std::vector<float> update(kNumel);
  expect_within(
      kLambTolerance,
      [&](Single& s, int step) {
        lamb_prepare({.range = s.range(),
                      .exp_avg = s.first.data(),
                      .exp_avg_sq = s.second.data(),
                      .update = update.data(),
                      .inverse_correction1 = static_cast<float>(1.0 / (1.0 - std::pow(kBeta1, step))),
                      .inverse_correction2 = static_cast<float>(1.0 / (1.0 - std::pow(kBeta2, step))),
                      .weight_decay = static_cast<float>(kDecay)});
        lamb_apply({.range = s.range(),
                    .update = update.data(),
                    .step_size = static_cast<float>(kLearningRate * kTrustRatio)});
      },
      [&](Double& d, double g, int step, size_t i) {
        d.first[i] = kBeta1 * d.first[i] + (1.0 - kBeta1) * g;
        d.second[i] = kBeta2 * d.second[i] + (1.0 - kBeta2) * g * g;
        const double m_hat = d.first[i] / (1.0 - std::pow(kBeta1, step));
        const double v_hat = d.second[i] / (1.0 - std::pow(kBeta2, step));
        const double eps = static_cast<double>(LambPrepareArgs().eps);
        const double direction = m_hat / (std::sqrt(v_hat) + eps) + kDecay * d.weights[i];
        d.weights[i] -= kLearningRate * kTrustRatio * direction;
      });
}

}  // namespace
}  // namespace deepspeed::kernels
