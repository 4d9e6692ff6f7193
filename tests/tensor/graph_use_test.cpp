#include "tensor/graph_use.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <vector>

#include "tensor/released_parameter.h"
#include "tensor/touch.h"

namespace deepspeed::tensor {
namespace {

/// Notes what it is told; refuses to pin parameter `refused`.
class Notes final : public TouchListener {
 public:
  std::vector<int> pinned, unpinned, written;
  int refused = -1;
  int uses = 0;  // by ordinary operators

  void before_use(std::span<const Touch>) override { ++uses; }
  void after_use(std::span<const Touch>) noexcept override {}
  void pin(std::span<const Touch> touches) override {
    for (const Touch& touch : touches) {
      if (touch.index == refused) throw std::runtime_error("no room");
      pinned.push_back(touch.index);
    }
  }
  void unpin(std::span<const Touch> touches) noexcept override {
    for (const Touch& touch : touches) {
      unpinned.push_back(touch.index);
      if (touch.writes) written.push_back(touch.index);
    }
  }
};

struct Bench {
  Bench() {
    for (int i = 0; i < 3; ++i) {
      weights.push_back(at::ones({2, 3}).requires_grad_(i != 1));
      make_released(weights.back(), at::kFloat, "weight lies in shards");
      watch(weights.back(), i < 2 ? first : second, i);
    }
  }
  ~Bench() {
    for (const at::Tensor& weight : weights) unwatch(weight, storage_of(weight));
  }
  std::shared_ptr<Notes> first = std::make_shared<Notes>();
  std::shared_ptr<Notes> second = std::make_shared<Notes>();
  std::vector<at::Tensor> weights;
  at::Tensor order = at::empty({1});
};

/// As a compiled graph calls them.
void call_pin(at::TensorList weights, const at::Tensor& order) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("deepspeed::pin", "")
                             .typed<void(at::TensorList, const at::Tensor&)>();
  op.call(weights, order);
}
void call_unpin(at::TensorList weights, const at::Tensor& order, at::IntArrayRef written) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("deepspeed::unpin", "")
                             .typed<void(at::TensorList, const at::Tensor&, at::IntArrayRef)>();
  op.call(weights, order, written);
}

TEST(GraphUse, EachListenerHearsOfItsWeightsAndOfViewsOfThem) {
  const Bench bench;
  const std::vector<at::Tensor> given = {bench.weights[2], at::ones({4}), bench.weights[0].detach(), bench.weights[1]};
  bench.first->uses = 0;
  call_pin(given, bench.order);
  EXPECT_EQ(bench.first->uses, 0) << "nothing passes through the fallback";
  EXPECT_EQ(bench.first->pinned, (std::vector<int>{0, 1}));
  EXPECT_EQ(bench.second->pinned, (std::vector<int>{2}));
  EXPECT_TRUE(bench.first->unpinned.empty());
  call_unpin(given, bench.order, {3});
  EXPECT_EQ(bench.first->unpinned, (std::vector<int>{0, 1}));
  EXPECT_EQ(bench.first->written, (std::vector<int>{1}));
  EXPECT_EQ(bench.second->unpinned, (std::vector<int>{2}));
  EXPECT_TRUE(bench.second->written.empty());
}

TEST(GraphUse, WhatOneListenerPinnedFallsWhereAnotherOneRefuses) {
  const Bench bench;
  bench.second->refused = 2;
  EXPECT_ANY_THROW(pin({bench.weights[0], bench.weights[2]}, bench.order));
  EXPECT_EQ(bench.first->pinned, (std::vector<int>{0}));
  EXPECT_EQ(bench.first->unpinned, (std::vector<int>{0}));
}

TEST(GraphUse, OrdinaryTensorsAreLeftAsTheyAre) {
  const at::Tensor weight = at::ones({2}).requires_grad_(true);
  const auto version = weight._version();
  call_pin({weight}, at::empty({1}));
  call_unpin({weight}, at::empty({1}), {0});
  EXPECT_EQ(weight._version(), version) << "backward would refuse it as changed";
  EXPECT_TRUE(at::equal(weight, at::ones({2})));
}

}  // namespace
}  // namespace deepspeed::tensor
