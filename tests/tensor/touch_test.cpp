#include "tensor/touch.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <algorithm>
#include <map>

#include "tensor/released_parameter.h"

namespace deepspeed::tensor {
namespace {

constexpr const char* kWhy = "weight w lies in shards";

/// Binds what is touched for as long as the operator runs, and notes it. Operators nest.
class Binder final : public TouchListener {
 public:
  std::vector<at::Tensor> parameters;
  std::vector<at::Tensor> places;
  std::map<int, int> pins;
  std::vector<int> uses;
  std::vector<int> writes;

  void before_use(std::span<const Touch> touches) override {
    for (const Touch& touch : touches) {
      uses.push_back(touch.index);
      if (touch.writes) writes.push_back(touch.index);
      if (pins[touch.index]++ == 0) bind(*storage_of(parameters[touch.index]), places[touch.index]);
    }
  }
  void after_use(std::span<const Touch> touches) noexcept override {
    for (const Touch& touch : touches) {
      if (--pins[touch.index] == 0) release(*storage_of(parameters[touch.index]), kWhy);
    }
  }
  void pin(std::span<const Touch> touches) override { before_use(touches); }
  void unpin(std::span<const Touch> touches) noexcept override { after_use(touches); }
};

struct Bench {
  explicit Bench(std::vector<at::Tensor> given) {
    binder->parameters = std::move(given);
    for (size_t i = 0; i < binder->parameters.size(); ++i) {
      at::Tensor& parameter = binder->parameters[i];
      binder->places.push_back(parameter.detach().clone().view({-1}));
      make_released(parameter, parameter.scalar_type(), kWhy);
      watch(parameter, binder, static_cast<int>(i));
    }
  }
  ~Bench() {
    for (const at::Tensor& parameter : binder->parameters) unwatch(parameter, storage_of(parameter));
  }
  std::shared_ptr<Binder> binder = std::make_shared<Binder>();
};

TEST(ReleasedParameter, KeepsItsShapeAndNamesItselfWhenTouched) {
  at::Tensor parameter = at::ones({2, 3}).requires_grad_(true);
  make_released(parameter, at::kBFloat16, kWhy);
  EXPECT_EQ(parameter.sizes(), at::IntArrayRef({2, 3}));
  EXPECT_EQ(parameter.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(parameter.requires_grad() && parameter.is_leaf());
  try {
    (void)parameter.sum().item<float>();
    ADD_FAILURE() << "expected an error";
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find(kWhy), std::string::npos) << error.what();
  }
  const at::Tensor place = at::full({6}, 2.0, at::kBFloat16);
  bind(*storage_of(parameter), place);
  EXPECT_EQ(parameter.sum().item<float>(), 12.0F);
  release(*storage_of(parameter), kWhy);
  EXPECT_ANY_THROW((void)parameter.data_ptr());
}

TEST(Touch, ForwardAndBackwardFindTheWeightsOfOrdinaryModules) {
  torch::nn::Linear linear(6, 5);
  torch::nn::LayerNorm norm(torch::nn::LayerNormOptions({5}));
  const at::Tensor x = at::randn({3, 6}).requires_grad_(true);
  norm(linear(x)).pow(2).sum().backward();
  const at::Tensor expected_x = x.grad().clone();
  const at::Tensor expected_w = linear->weight.grad().clone();
  x.mutable_grad().reset();
  linear->weight.mutable_grad().reset();

  const Bench bench({linear->weight, linear->bias, norm->weight, norm->bias});
  const at::Tensor loss = norm(linear(x)).pow(2).sum();
  EXPECT_NE(std::count(bench.binder->uses.begin(), bench.binder->uses.end(), 2), 0);
  bench.binder->uses.clear();
  loss.backward();
  EXPECT_NE(std::count(bench.binder->uses.begin(), bench.binder->uses.end(), 0), 0) << "backward reads the weight";
  EXPECT_TRUE(at::equal(x.grad(), expected_x));
  EXPECT_TRUE(at::equal(linear->weight.grad(), expected_w));
  EXPECT_FALSE(is_watched(linear->weight.grad()));
}

TEST(Touch, ViewsListsAndPlainValuesAreSeenToo) {
  const Bench bench({at::arange(4.0).requires_grad_(true), at::ones({4})});
  const at::Tensor& first = bench.binder->parameters[0];
  EXPECT_EQ(first.detach().view({2, 2}).t()[1][0].item<float>(), 1.0F);
  EXPECT_EQ(first.variable_data()[3].item<float>(), 3.0F);
  bench.binder->uses.clear();
  EXPECT_EQ(at::cat({bench.binder->parameters[0], bench.binder->parameters[1]}).sum().item<float>(), 10.0F);
  EXPECT_EQ((std::vector<int>{bench.binder->uses.begin(), bench.binder->uses.begin() + 2}), (std::vector<int>{0, 1}));
  EXPECT_EQ(first.norm().item<float>(), at::arange(4.0).norm().item<float>());
}

TEST(Touch, WritesAreToldApart) {
  const at::NoGradGuard no_grad;
  const Bench bench({at::zeros({4}), at::ones({4})});
  bench.binder->parameters[0].add_(bench.binder->parameters[1]);
  EXPECT_EQ(std::count(bench.binder->writes.begin(), bench.binder->writes.end(), 0), 1);
  EXPECT_EQ(std::count(bench.binder->writes.begin(), bench.binder->writes.end(), 1), 0);
  EXPECT_EQ(bench.binder->places[0].sum().item<float>(), 4.0F);
  bench.binder->parameters[1].detach().view({2, 2}).zero_();
  EXPECT_EQ(std::count(bench.binder->writes.begin(), bench.binder->writes.end(), 1), 1);
  EXPECT_EQ(bench.binder->places[1].sum().item<float>(), 0.0F);
}

TEST(Touch, WithoutAListenerTheSentenceIsRaised) {
  at::Tensor parameter = at::ones({3});
  make_released(parameter, at::kFloat, kWhy);
  watch(parameter, {}, 0);
  EXPECT_TRUE(is_any_watched());
  EXPECT_ANY_THROW((void)parameter.sum());
  unwatch(parameter, storage_of(parameter));
  EXPECT_FALSE(is_watched(parameter));
  EXPECT_FALSE(is_any_watched());
}

}  // namespace
}  // namespace deepspeed::tensor
