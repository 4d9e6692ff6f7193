#include "tensor/placed_parameter.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace deepspeed::tensor {
namespace {

TEST(PlacedParameter, KeepsIdentityAndValuesAndLivesInTheLane) {
  at::Tensor parameter = at::randn({3, 4}).t().requires_grad_(true);
  const at::Tensor before = parameter.detach().clone();
  const void* identity = parameter.unsafeGetTensorImpl();
  at::Tensor lane = at::zeros({100});
  place_in_lane(parameter, lane, 16);
  EXPECT_EQ(parameter.unsafeGetTensorImpl(), identity);
  EXPECT_TRUE(parameter.requires_grad() && parameter.is_leaf());
  EXPECT_TRUE(at::equal(parameter, before));
  EXPECT_TRUE(is_placed(parameter, lane, 16));
  lane.narrow(0, 16, 12).fill_(2);
  EXPECT_TRUE(at::equal(parameter, at::full({4, 3}, 2.0)));
}

TEST(PlacedParameter, HasAStorageOfItsOwnSizeThatKeepsTheLaneAlive) {
  at::Tensor parameter = at::ones({5});
  {
    const at::Tensor lane = at::zeros({1000});
    place_in_lane(parameter, lane, 0);
  }
  EXPECT_EQ(parameter.storage().nbytes(), 5 * sizeof(float));
  EXPECT_EQ(parameter.sum().item<float>(), 5.0F);
}

TEST(PlacedParameter, TakesTheLanesDtypeAndCanBeGivenBack) {
  at::Tensor parameter = at::full({4}, 1.5);
  const at::Tensor lane = at::zeros({64}, at::kBFloat16);
  place_in_lane(parameter, lane, 0);
  EXPECT_EQ(parameter.scalar_type(), at::kBFloat16);
  give_back(parameter);
  EXPECT_FALSE(is_placed(parameter, lane, 0));
  EXPECT_EQ(parameter[0].item<float>(), 1.5F);
}

TEST(PlacedParameter, GradientsFlowThroughAPlacedParameter) {
  at::Tensor parameter = at::ones({3}).requires_grad_(true);
  const at::Tensor lane = at::zeros({64});
  place_in_lane(parameter, lane, 0);
  (parameter * 3).sum().backward();
  EXPECT_TRUE(at::equal(parameter.grad(), at::full({3}, 3.0)));
}

TEST(PlacedParameter, ZeroSizeAndScalarParametersWork) {
  const at::Tensor lane = at::zeros({64});
  at::Tensor empty = at::zeros({0, 7});
  at::Tensor scalar = at::full({}, 4.0);
  place_in_lane(empty, lane, 64);
  place_in_lane(scalar, lane, 3);
  EXPECT_EQ(empty.sizes(), (at::IntArrayRef{0, 7}));
  EXPECT_EQ(lane[3].item<float>(), 4.0F);
}

}  // namespace
}  // namespace deepspeed::tensor
