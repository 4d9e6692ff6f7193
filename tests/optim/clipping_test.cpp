#include "optim/clipping.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "deepspeed/error.h"

namespace deepspeed::optim {
namespace {

TEST(Clipping, SumOfSquaresAgreesWithLibTorchInFloat64) {
  at::manual_seed(1);
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
    const at::Tensor values = at::randn({200'001}).to(dtype);
    const double expected = values.to(at::kDouble).square().sum().item<double>();
    EXPECT_NEAR(sum_of_squares(values) / expected, 1.0, 1e-13) << dtype;
  }
  EXPECT_EQ(sum_of_squares(at::empty({0})), 0.0);
}

TEST(Clipping, SumOfSquaresHasTheSameBitsForAnyNumberOfThreads) {
  at::manual_seed(2);
  const at::Tensor values = at::randn({1'000'003});
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const double one = sum_of_squares(values);
  at::set_num_threads(2);
  const double two = sum_of_squares(values);
  at::set_num_threads(threads);
  EXPECT_EQ(one, two);
}

TEST(Clipping, FirstNonfiniteIsFound) {
  at::Tensor values = at::zeros({1000}, at::kBFloat16);
  EXPECT_EQ(first_nonfinite(values), -1);
  values[777] = std::numeric_limits<float>::quiet_NaN();
  values[778] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(first_nonfinite(values), 777);
}

TEST(Clipping, NormIsTheRootOfThePartialSums) {
  const double partials[] = {9.0, 0.0, 16.0};
  EXPECT_EQ(global_norm(partials), 5.0);
  EXPECT_EQ(global_norm({}), 0.0);
}

TEST(Clipping, FactorIsTorchs) {
  EXPECT_EQ(clip_factor(0.5, 1.0), 1.0);
  EXPECT_EQ(clip_factor(4.0, 1.0), 1.0 / (4.0 + 1e-6));
  EXPECT_EQ(clip_factor(4.0, 0.0), 1.0);
  EXPECT_EQ(clip_factor(std::numeric_limits<double>::infinity(), 1.0), 0.0);
  EXPECT_TRUE(std::isnan(clip_factor(std::numeric_limits<double>::quiet_NaN(), 1.0)));
}

TEST(Clipping, IntegersAndStridesAreRefused) {
  EXPECT_THROW(sum_of_squares(at::zeros({3}, at::kLong)), ValueError);
  EXPECT_THROW(sum_of_squares(at::zeros({4, 4}).t()[0]), ValueError);
}

}  // namespace
}  // namespace deepspeed::optim
