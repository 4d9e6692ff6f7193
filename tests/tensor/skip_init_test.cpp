#include "deepspeed/skip_init.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <fstream>
#include <optional>
#include <string>

namespace deepspeed {
namespace {

int64_t resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stoll(line.substr(6));
  }
  return 0;
}

TEST(SkipInit, RandomNumbersAreNotWrittenAndConstantsAre) {
  at::Tensor kept = at::full({4}, 7.0);
  {
    const SkipInit skip;
    kept.uniform_(-1, 1);
    kept.normal_();
    kept.random_(3);
    kept.bernoulli_(0.5);
    EXPECT_TRUE(at::equal(kept, at::full({4}, 7.0)));
    EXPECT_TRUE(at::equal(torch::nn::LayerNorm(torch::nn::LayerNormOptions({3}))->weight, at::ones({3})));
    kept.fill_(2.0);
    EXPECT_TRUE(at::equal(kept, at::full({4}, 2.0)));
  }
  kept.normal_();
  EXPECT_FALSE(at::equal(kept, at::full({4}, 2.0)));
}

TEST(SkipInit, ScopesNest) {
  std::optional<SkipInit> outer(std::in_place);
  { const SkipInit inner; }
  at::Tensor kept = at::zeros({8});
  kept.normal_();
  EXPECT_TRUE(at::equal(kept, at::zeros({8})));
  outer.reset();
  kept.normal_();
  EXPECT_FALSE(at::equal(kept, at::zeros({8})));
}

TEST(SkipInit, ModulesTakeNoMemoryBeforeSomebodyWrites) {
  const int64_t before = resident_kib();
  const SkipInit skip;
  torch::nn::Linear linear(8192, 8192);  // 256 MiB
  torch::nn::Embedding embedding(8192, 8192);
  EXPECT_LT(resident_kib() - before, 64 * 1024);
  EXPECT_EQ(linear->weight.sizes(), at::IntArrayRef({8192, 8192}));
  EXPECT_TRUE(linear->weight.requires_grad());
}

}  // namespace
}  // namespace deepspeed
