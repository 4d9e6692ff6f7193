#include "plan/model_shape.h"

#include <gtest/gtest.h>

#include "deepspeed/error.h"
#include "plan/step_time.h"

namespace deepspeed::plan {
namespace {

TEST(ModelShape, KnownModelsHaveThePublishedSizes) {
  const auto numel = [](std::string_view name) {
    return describe_decoder(find_shape(name), core::Dtype::kBFloat16).numel();
  };
  EXPECT_EQ(numel("llama-42m"), 41'951'744);  // benchmarks/llama.py counts the same
  EXPECT_EQ(numel("7b"), 6'738'415'616);
  EXPECT_EQ(numel("13b"), 13'015'864'320);
  EXPECT_EQ(numel("70b"), 68'976'648'192);
  EXPECT_NEAR(static_cast<double>(numel("125m")), 125e6, 2e6);
  EXPECT_NEAR(static_cast<double>(numel("1.3b")), 1.3e9, 0.03e9);
}

TEST(ModelShape, UnitsAreTheBlocksAndWhatStandsAlone) {
  const auto units = cut_for_steps(describe_decoder(find_shape("7b"), core::Dtype::kBFloat16), 8, 1, false).units;
  ASSERT_EQ(units.size(), 1 + 32 + 1 + 1);  // the norm lies alone between the large embedding and the large head
  EXPECT_EQ(units[0].name, "embedding.weight");
  EXPECT_EQ(units[1].name, "blocks.0");
}

TEST(ModelShape, AnEmbeddingAndAHeadThatFitAreOneUnitUsedTwice) {
  const StepModel model = cut_for_steps(describe_decoder(find_shape("llama-42m"), core::Dtype::kFloat32), 2, 1, false);
  ASSERT_EQ(model.units.size(), 1 + 8);
  EXPECT_EQ(model.uses.front().unit, 0);
  EXPECT_EQ(model.uses.back().unit, 0);
  EXPECT_FALSE(model.uses.front().weights_in_backward);
}

TEST(ModelShape, ForwardTakesTwoOperationsAnElementAndToken) {
  const ModelDescription model = describe_decoder(find_shape("7b"), core::Dtype::kBFloat16, 1);
  double flops = 0;
  for (const ModuleUse& use : model.uses) flops += use.forward_flops_per_token;
  EXPECT_NEAR(flops / (2.0 * static_cast<double>(model.numel() - 32000 * 4096)), 1.0, 1e-3);
}

TEST(ModelShape, LongerSequencesMakeAttentionDearer) {
  const DecoderShape& shape = find_shape("7b");
  const auto block_flops = [&](int64_t sequence) {
    return describe_decoder(shape, core::Dtype::kBFloat16, sequence).uses[1].forward_flops_per_token;
  };
  EXPECT_DOUBLE_EQ(block_flops(8192) - block_flops(4096), 2.0 * 4096 * 4096);
}

TEST(ModelShape, RecomputationDoesTheForwardAgain) {
  const ModelDescription model = describe_decoder(find_shape("7b"), core::Dtype::kBFloat16);
  const StepModel without = cut_for_steps(model, 1, 10, false);
  const StepModel with = cut_for_steps(model, 1, 10, true);
  EXPECT_DOUBLE_EQ(without.uses[1].backward_flops, 2 * without.uses[1].forward_flops);
  EXPECT_DOUBLE_EQ(with.uses[1].backward_flops, 3 * with.uses[1].forward_flops);
}

TEST(ModelShape, AnUnknownNameIsAnErrorThatListsTheKnownOnes) { EXPECT_THROW(find_shape("8b"), ValueError); }

}  // namespace
}  // namespace deepspeed::plan
