#include "zero/boundary_step.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "optim/sgd.h"
#include "zero/small_model.h"

namespace deepspeed::zero {
namespace {

using testing::NotingCommunicator;
using testing::SmallModel;

struct Bench {
  explicit Bench(const std::vector<int64_t>& numels, const Options& options = {})
      : model(numels), store(model.make_store(options, data)), step(*store, data) {}
  void fill_gradients(double value) {
    for (size_t i = 0; i < model.parameters.size(); ++i) {
      const int64_t numel = model.parameters[i].tensor.numel();
      store->units()[i].lanes[0].owned_gradient.narrow(0, 0, numel).fill_(value);
    }
  }

  NotingCommunicator data;
  SmallModel model;
  std::unique_ptr<LaneStore> store;
  BoundaryStep step;
};

TEST(BoundaryStep, NormAndClippingUndoTheLossScale) {
  Bench bench({16, 9});
  bench.fill_gradients(8.0);
  const StepResult result = bench.step.inspect({.loss_scale = 4.0, .gradient_clipping = 5.0});
  EXPECT_DOUBLE_EQ(result.gradient_norm.value(), 10.0);  // 25 elements of 2
  EXPECT_NEAR(result.scale, 0.5 / 4.0, 1e-6);
  EXPECT_FALSE(result.overflow);
}

TEST(BoundaryStep, NamesTheFirstElementThatIsNotFinite) {
  Bench bench({16, 9});
  bench.fill_gradients(1.0);
  bench.store->units()[1].lanes[0].owned_gradient[5].fill_(std::numeric_limits<float>::quiet_NaN());
  const StepResult result = bench.step.inspect({});
  EXPECT_TRUE(result.overflow);
  EXPECT_EQ(result.first_nonfinite, "p1 (rank 0, element 5)");
  const StepResult unchecked = bench.step.inspect({.check_overflow = false});
  EXPECT_FALSE(unchecked.overflow);
}

TEST(BoundaryStep, SteppedUnitsAreGatheredInBuckets) {
  Options options;
  options.lifetimes = plan::stage_lifetimes(1);
  options.allgather_bucket_size = 40;
  Bench bench({16, 16, 64, 16}, options);
  bench.fill_gradients(1.0);
  optim::Hyperparameters group = optim::default_hyperparameters("sgd");
  group.lr = 0.5;
  const auto sgd = optim::make_optimizer("sgd", group);
  bench.step.apply(*sgd, std::span(&group, 1), bench.step.inspect({}), 0);
  std::vector<std::vector<int64_t>> gathered;
  for (const auto& launch : bench.data.gathers) {
    if (launch.name.starts_with("p")) gathered.push_back(launch.numels);
  }
  EXPECT_EQ(gathered, (std::vector<std::vector<int64_t>>{{16, 16}, {64}, {16}}));
  EXPECT_EQ(bench.model.parameters[1].tensor[0].item<float>(), 2.0F - 0.5F);
  EXPECT_EQ(bench.step.parameter_steps(), (std::vector<int64_t>{1, 1, 1, 1}));
}

}  // namespace
}  // namespace deepspeed::zero
