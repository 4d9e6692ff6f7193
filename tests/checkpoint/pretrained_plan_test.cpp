// Names and byte ranges, without a file.
#include "checkpoint/pretrained_plan.h"

#include <gtest/gtest.h>

#include <random>

#include "deepspeed/error.h"
#include "plan/unit.h"

namespace deepspeed::checkpoint {
namespace {

using io::ElementType;
using Keys = std::vector<std::string>;

StoredTensors stored(const Keys& keys) {
  StoredTensors tensors;
  for (const std::string& key : keys) tensors[key] = {0, ElementType::kFloat32, {2}, 8 * tensors.size()};
  return tensors;
}

TEST(MatchNames, ThePrefixMayBeOnEitherSideOrNeither) {
  const Keys bare = {"embed", "norm"};
  const Keys with_prefix = {"model.embed", "model.norm"};
  EXPECT_EQ(match_names({{"embed"}, {"norm"}}, stored(bare), "model").keys, bare);
  EXPECT_EQ(match_names({{"embed"}, {"norm"}}, stored(with_prefix), "model").keys, with_prefix);
  EXPECT_EQ(match_names({{"model.embed"}, {"model.norm"}, {"head"}}, stored(bare), "model").keys,
            (Keys{"embed", "norm", ""}));
  EXPECT_EQ(match_names({{"embed"}}, stored(with_prefix), "").keys, Keys{""});
  EXPECT_EQ(match_names({{"embed"}}, stored(with_prefix), "transformer").keys, Keys{""});
}

TEST(MatchNames, AKeyThatIsAnotherTensorsNameIsNotTakenForIt) {
  const NameMatch match = match_names({{"model.scale"}, {"scale"}}, stored({"scale"}), "model");
  EXPECT_EQ(match.keys, (Keys{"", "scale"}));
}

TEST(MatchNames, ATiedTensorIsFoundByAnyOfItsNamesAndNoneOfThemIsUnexpected) {
  const std::vector<Keys> names = {{"model.embed", "head"}, {"norm"}};
  EXPECT_EQ(match_names(names, stored({"head", "norm"}), "model").keys, (Keys{"head", "norm"}));
  const NameMatch both = match_names(names, stored({"embed", "extra", "head", "norm"}), "model");
  EXPECT_EQ(both.keys, (Keys{"embed", "norm"}));
  EXPECT_EQ(both.unexpected, Keys{"extra"});
}

std::string error_of(const WantedRange& wanted, const StoredTensor& tensor) {
  try {
    plan_reads({wanted}, {{"key", tensor}}, "the files");
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "";
}

TEST(PlanReads, WhatDoesNotFitIsNamedWithKeyAndBothSides) {
  const StoredTensor floats{0, ElementType::kFloat32, {2, 3}, 8};
  EXPECT_EQ(error_of({"p", "key", {2, 3}, ElementType::kBFloat16, {0, 6}}, floats), "");
  const std::string shape = error_of({"p", "key", {3, 2}, ElementType::kFloat32, {0, 6}}, floats);
  for (const char* part : {"the files", "'key'", "[2, 3]", "[3, 2]", "p of the model"})
    EXPECT_NE(shape.find(part), std::string::npos) << part << " in " << shape;
  const std::string type = error_of({"p", "key", {2, 3}, ElementType::kInt64, {0, 6}}, floats);
  EXPECT_NE(type.find("F32"), std::string::npos) << type;
  EXPECT_NE(type.find("I64"), std::string::npos) << type;
  EXPECT_NE(error_of({"p", "other", {2, 3}, ElementType::kFloat32, {0, 6}}, floats).find("'other'"), std::string::npos);
}

TEST(PlanReads, RangesAreReadInTheOrderOfTheFilesAndEmptyOnesNotAtAll) {
  const StoredTensors tensors = {{"a", {1, ElementType::kFloat32, {10}, 100}},
                                 {"b", {0, ElementType::kBFloat16, {4, 2}, 500}},
                                 {"c", {0, ElementType::kFloat64, {}, 64}}};
  const auto reads = plan_reads({{"pa", "a", {10}, ElementType::kFloat32, {3, 7}},
                                 {"pb", "b", {4, 2}, ElementType::kFloat32, {5, 8}},
                                 {"pa", "a", {10}, ElementType::kFloat32, {2, 2}},
                                 {"pc", "c", {}, ElementType::kFloat32, {0, 1}}},
                                tensors, "");
  ASSERT_EQ(reads.size(), 3U);
  EXPECT_EQ(reads[0].wanted, 3U);
  EXPECT_EQ(reads[0].offset, 64U);
  EXPECT_EQ(reads[1].wanted, 1U);
  EXPECT_EQ(reads[1].offset, 500U + 5 * 2);
  EXPECT_EQ(reads[1].numel, 3);
  EXPECT_EQ(reads[2].file, 1U);
  EXPECT_EQ(reads[2].offset, 100U + 3 * 4);
  EXPECT_EQ(reads[2].numel, 4);
}

TEST(PlanReads, RanksOfAnyNumberReadEachByteOnce) {
  std::mt19937 random(5);
  for (int round = 0; round < 50; ++round) {
    const int world = 1 + static_cast<int>(random() % 7);
    StoredTensors tensors;
    std::vector<plan::ParameterInfo> infos;
    uint64_t offset = 128;
    for (int index = 0; index < 9; ++index) {
      const int64_t numel = random() % 5 == 0 ? 0 : static_cast<int64_t>(random() % 1000);
      const std::string name = "p" + std::to_string(index);
      tensors[name] = {0, ElementType::kFloat32, {numel}, offset};
      infos.push_back({.name = name, .numel = numel});
      offset += static_cast<uint64_t>(numel) * 4;
    }
    const plan::Unit unit = plan::lay_out_unit("unit", {0, 1, 2, 3, 4, 5, 6, 7, 8}, infos, world);
    std::vector<int> times_read(offset, 0);
    for (int rank = 0; rank < world; ++rank) {
      std::vector<WantedRange> wanted;
      for (const plan::Piece& piece : plan::pieces_in(unit.lanes[0], unit.lanes[0].shard(rank, world))) {
        const plan::ParameterInfo& info = infos[static_cast<size_t>(piece.parameter)];
        wanted.push_back({info.name,
                          info.name,
                          {info.numel},
                          ElementType::kFloat32,
                          {piece.in_parameter.begin, piece.in_parameter.end}});
      }
      for (const PretrainedRead& read : plan_reads(wanted, tensors, "")) {
        for (int64_t byte = 0; byte < read.numel * 4; ++byte) ++times_read[read.offset + static_cast<uint64_t>(byte)];
      }
    }
    for (uint64_t byte = 0; byte < offset; ++byte) ASSERT_EQ(times_read[byte], byte < 128 ? 0 : 1) << byte;
  }
}

}  // namespace
}  // namespace deepspeed::checkpoint
