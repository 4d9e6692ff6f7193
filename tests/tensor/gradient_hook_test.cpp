#include "tensor/gradient_hook.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace deepspeed::tensor {
namespace {

TEST(GradientHook, RunsAfterEachAccumulationUntilItIsDestroyed) {
  const at::Tensor parameter = at::ones({2}).requires_grad_(true);
  int calls = 0;
  {
    const GradientHook hook(parameter, [&] {
      ++calls;
      EXPECT_TRUE(parameter.grad().defined());
    });
    parameter.sum().backward();
    (parameter * parameter).sum().backward();
    EXPECT_EQ(calls, 2);
  }
  parameter.sum().backward();
  EXPECT_EQ(calls, 2);
}

TEST(GradientHook, AGraphThatOutlivesTheHookDoesNotCallIt) {
  const at::Tensor parameter = at::ones({2}).requires_grad_(true);
  int calls = 0;
  at::Tensor loss;
  {
    const GradientHook hook(parameter, [&] { ++calls; });
    loss = parameter.sum();
  }
  loss.backward();
  EXPECT_EQ(calls, 0);
}

TEST(GradientHook, TheFunctionBeforeSeesTheOldGradientUntilTheHookIsDestroyed) {
  at::Tensor parameter = at::ones({2}).requires_grad_(true);
  int calls = 0;
  {
    const GradientHook hook(
        parameter, [] {},
        [&] {
          ++calls;
          parameter.mutable_grad().reset();
        });
    for (int turn = 0; turn < 2; ++turn) parameter.sum().backward();
    EXPECT_EQ(calls, 2);
    EXPECT_TRUE(at::equal(parameter.grad(), at::ones({2}))) << "the old gradient was dropped, not added to";
  }
  parameter.sum().backward();
  EXPECT_EQ(calls, 2);
}

TEST(GradientHook, NoticesThatADtypeChangeReplacedTheAccumulator) {
  at::Tensor parameter = at::ones({2}).requires_grad_(true);
  const GradientHook hook(parameter, [] {});
  EXPECT_TRUE(hook.is_current(parameter));
  parameter.set_data(parameter.detach().to(at::kBFloat16));
  parameter.sum().backward();  // makes the new accumulator
  EXPECT_FALSE(hook.is_current(parameter));
}

}  // namespace
}  // namespace deepspeed::tensor
