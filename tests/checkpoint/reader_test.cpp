#include "checkpoint/reader.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "core/file.h"
#include "deepspeed/error.h"
#include "sample.h"

namespace deepspeed::checkpoint {
namespace {

namespace fs = std::filesystem;

void write_plain(const fs::path& path, const std::string& content) { std::ofstream(path, std::ios::binary) << content; }

TEST(CheckpointReader, FourRanksSaveAndThreeLoadWithOtherCuts) {
  const auto folder = scratch_path("recut");
  const std::vector<int64_t> shape = {kSampleRows, kSampleColumns};
  const auto values = sample_values(0);
  CheckpointWriter root(folder, "t", 0, 4);
  root.prepare();
  CheckpointWriter::Commit commit;
  const auto columns = [&](int64_t from, int64_t to) {
    std::vector<float> part;
    for (int64_t row = 0; row < kSampleRows; ++row) {
      for (int64_t column = from; column < to; ++column)
        part.push_back(values[static_cast<size_t>(row * kSampleColumns + column)]);
    }
    return part;
  };
  for (int rank = 0; rank < 4; ++rank) {  // two tensor-parallel columns of two ZeRO ranges each
    CheckpointWriter other(folder, "t", rank, 4);
    CheckpointWriter& writer = rank == 0 ? root : other;
    const Box box = rank < 2 ? Box{{0, 0}, {kSampleRows, 3}} : Box{{0, 3}, {kSampleRows, 4}};
    const auto part = rank < 2 ? columns(0, 3) : columns(3, 7);
    const int64_t middle = numel(box) / 3;
    const Range range = rank % 2 == 0 ? Range{0, middle} : Range{middle, numel(box)};
    writer.add({"w", "exp_avg", io::ElementType::kFloat32, shape, box, range}, &part[static_cast<size_t>(range.begin)]);
    commit.reports.push_back(writer.write());
  }
  root.commit(commit);
  auto reader = CheckpointReader::open(folder);
  std::vector<double> loaded(kSampleNumel);
  for (int rank = 0; rank < 3; ++rank) {
    const Range range{kSampleNumel * rank / 3, kSampleNumel * (rank + 1) / 3};
    reader.read("w", "exp_avg", whole_box(shape), range, &loaded[static_cast<size_t>(range.begin)],
                io::ElementType::kFloat64);
  }
  EXPECT_EQ(loaded, std::vector<double>(values.begin(), values.end()));
}

TEST(CheckpointReader, NamesStatesAliasesAndStateAreThere) {
  const auto folder = scratch_path("names");
  save_sample(folder, "step1", 10);
  auto reader = CheckpointReader::open(folder);
  EXPECT_EQ(reader.tag(), "step1");
  EXPECT_EQ(reader.world(), 2);
  EXPECT_EQ(reader.names(), (std::vector<std::string>{"w", "step"}));
  EXPECT_EQ(reader.states("tied"), (std::vector<std::string>{"weight"}));
  EXPECT_TRUE(reader.has("tied", "weight"));
  EXPECT_FALSE(reader.has("w", "master"));
  EXPECT_EQ(reader.type("step", kExtraState), io::ElementType::kInt64);
  EXPECT_EQ(checked_seed(reader), 10);
  int64_t step = 0;
  reader.read("step", kExtraState, {}, {0, 1}, &step, io::ElementType::kInt64);
  EXPECT_EQ(step, 10);
  float wrong = 0;
  EXPECT_THROW(reader.read("step", kExtraState, {}, {0, 1}, &wrong, io::ElementType::kFloat32), CheckpointError);
  EXPECT_THROW(reader.read("step", kExtraState, {}, {0, 2}, &wrong, io::ElementType::kInt64), ValueError);
  EXPECT_NE(message_of<CheckpointError>([&] { reader.type("w", "master"); }).find("it has 'weight'"),
            std::string::npos);
}

TEST(CheckpointReader, WhatIsMissingIsSaidWithWhatIsThere) {
  const auto folder = scratch_path("missing");
  const auto open = [&](std::optional<std::string> tag = std::nullopt) {
    return message_of<CheckpointError>([&] { CheckpointReader::open(folder, tag); });
  };
  EXPECT_NE(open().find("does not exist"), std::string::npos);
  fs::create_directories(folder);
  EXPECT_NE(open().find("holds no complete checkpoint"), std::string::npos);
  save_sample(folder, "step1", 1);
  save_sample(folder, "step2", 2);
  EXPECT_NE(open("step3").find("no tag 'step3'"), std::string::npos);
  EXPECT_NE(open("step3").find("'step2', 'step1'"), std::string::npos);
  fs::remove(folder / kLatestFile);
  EXPECT_NE(open().find("load_checkpoint(\"" + folder.string() + "\", tag=\"step2\")"), std::string::npos);
  write_plain(folder / kLatestFile, "../evil");
  EXPECT_NE(open().find("latest is damaged"), std::string::npos);
  fs::create_directories(folder / "old");
  write_plain(folder / "old" / "mp_rank_00_model_states.pt", "");
  EXPECT_NE(open("old").find("written by DeepSpeed"), std::string::npos);
}

TEST(CheckpointReader, ATornNewestTagIsAnErrorThatNamesTheNewestCompleteOne) {
  const auto folder = scratch_path("torn");
  save_sample(folder, "step1", 1);
  save_sample(folder, "step2", 2);
  const auto file = folder / "step2" / "rank_1.safetensors";
  fs::resize_file(file, fs::file_size(file) - 1);
  auto error = message_of<CheckpointError>([&] { CheckpointReader::open(folder); });
  EXPECT_NE(error.find("rank_1.safetensors has"), std::string::npos) << error;
  EXPECT_NE(error.find("tag=\"step1\""), std::string::npos) << error;
  fs::remove(file);
  error = message_of<CheckpointError>([&] { CheckpointReader::open(folder); });
  EXPECT_NE(error.find("rank_1.safetensors cannot be read"), std::string::npos) << error;
  EXPECT_EQ(newest_complete_tag(folder), "step1");
}

TEST(CheckpointReader, EveryFlippedByteOfADataFileIsDetectedAndNamed) {
  const auto folder = scratch_path("flipped");
  save_sample(folder, "step1", 1);
  const auto path = folder / "step1" / "rank_0.safetensors";
  const std::string content = core::read_file(path);
  for (size_t at = 0; at < content.size(); ++at) {
    std::string damaged = content;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
    write_plain(path, damaged);
    const auto problems = CheckpointReader::open(folder).find_damage();
    ASSERT_FALSE(problems.empty()) << at;
    ASSERT_NE(problems.front().find("rank_0.safetensors"), std::string::npos);
  }
  std::string damaged = content;
  damaged[damaged.size() - 1] ^= 1;
  write_plain(path, damaged);
  auto reader = CheckpointReader::open(folder);
  const auto error = message_of<CheckpointError>([&] { reader.read_whole("w", kWeightState); });
  EXPECT_NE(error.find("tensor 'w' (parameter 'w', state 'weight'): its checksum"), std::string::npos) << error;
}

TEST(CheckpointReader, TensorsWithoutElementsAreSavedAndRead) {
  const auto folder = scratch_path("empty");
  CheckpointWriter writer(folder, "t", 0, 1);
  writer.prepare();
  writer.add(whole_tensor("rows", kWeightState, io::ElementType::kFloat32, {0, 4}), nullptr);
  writer.add(whole_tensor("x", kExtraState, io::ElementType::kInt64, {0}), nullptr);
  CheckpointWriter::Commit commit;
  commit.reports = {writer.write()};
  commit.state = {{"x", encode_tensor_reference("x")}};
  commit.aliases = {{"tied", "rows"}};
  writer.commit(commit);
  auto reader = CheckpointReader::open(folder);
  EXPECT_EQ(reader.global_shape("tied", kWeightState), (std::vector<int64_t>{0, 4}));
  EXPECT_NO_THROW(reader.read("tied", kWeightState, whole_box({0, 4}), {0, 0}, nullptr, io::ElementType::kFloat32));
  EXPECT_TRUE(reader.read_whole("x", kExtraState).empty());
  EXPECT_TRUE(reader.find_damage().empty());
}

}  // namespace
}  // namespace deepspeed::checkpoint
