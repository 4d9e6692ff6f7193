#include "plan/plan_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

PlanOptions parse(const std::vector<std::string>& arguments) {
  return std::get<PlanOptions>(parse_plan_options(arguments));
}

TEST(PlanOptions, DefaultsAreOneHostOfEightAndAllStages) {
  const PlanOptions options = parse({"--model", "7b"});
  EXPECT_EQ(options.question.ranks_per_host, 8);
  EXPECT_THAT(options.question.hosts, ElementsAre(1));
  EXPECT_THAT(options.question.stages, ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(options.question.host.name, "h100");
  EXPECT_EQ(options.question.tokens, 4096);
  EXPECT_EQ(options.question.dtype, core::Dtype::kBFloat16);
  EXPECT_THAT(options.plot, IsEmpty());
}

TEST(PlanOptions, OneHostHasNoNetworksToCompare) {
  EXPECT_EQ(parse({"--model", "7b", "--network", "1,10"}).question.gigabits.size(), 1);
  EXPECT_THAT(parse({"--model", "7b", "--network", "1,2.5", "--nodes", "2"}).question.gigabits, ElementsAre(1, 2.5));
}

TEST(PlanOptions, EveryFlagIsRead) {
  const PlanOptions options =
      parse({"--model=13b", "--gpus=4", "--nodes=2:8", "--stage=1,3", "--dtype=fp32", "--tokens=512",
             "--accumulation=4", "--recompute", "--device=a100", "--tflops=100", "--memory_gb=40", "--no_overlap",
             "--reduce_bucket_size=1", "--allgather_bucket_size=2", "--stage3_prefetch_bucket_size=3",
             "--stage3_param_persistence_threshold=4", "--json", "--plot=x.svg"});
  const ScalingQuestion& question = options.question;
  EXPECT_EQ(question.model.name, "13b");
  EXPECT_THAT(question.hosts, ElementsAre(2, 4, 8));
  EXPECT_THAT(question.stages, ElementsAre(1, 3));
  EXPECT_EQ(question.tokens, 512);
  EXPECT_EQ(question.step.micro_batches, 4);
  EXPECT_TRUE(question.recomputes);
  EXPECT_DOUBLE_EQ(question.host.flops, 100e12);
  EXPECT_DOUBLE_EQ(question.host.memory_bytes, 40e9);
  EXPECT_FALSE(question.step.overlap_comm);
  EXPECT_EQ(question.step.reduce_bucket_size, 1);
  EXPECT_EQ(question.step.allgather_bucket_size, 2);
  EXPECT_EQ(question.step.prefetch_bucket_size, 3);
  EXPECT_EQ(question.step.persistence_threshold, 4);
  EXPECT_TRUE(options.json);
  EXPECT_EQ(options.plot, "x.svg");
}

TEST(PlanOptions, APlotIsDrawnWhereThereIsACurve) {
  EXPECT_EQ(parse({"--model", "7b", "--nodes", "1,2"}).plot, "ds_plan.svg");
  EXPECT_EQ(parse({"--model", "7b", "--nodes", "1,2", "--plot", "none"}).plot, "");
  EXPECT_EQ(parse({"--model", "7b", "--nodes", "1,2", "--json"}).plot, "");
}

TEST(PlanOptions, CountsAreListsOrPowersOfTwo) {
  EXPECT_THAT(parse_counts("--nodes", "4"), ElementsAre(4));
  EXPECT_THAT(parse_counts("--nodes", "9,1,3,9"), ElementsAre(1, 3, 9)) << "in order, each once";
  EXPECT_THAT(parse_counts("--nodes", "3:20"), ElementsAre(3, 6, 12));
  for (const char* wrong : {"", "x", "1:", ":4", "0:4", "4:1", "1,,2", "-1"})
    EXPECT_THROW(parse_counts("--nodes", wrong), ValueError) << wrong;
}

}  // namespace
}  // namespace deepspeed::plan
