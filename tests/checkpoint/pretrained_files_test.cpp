// Folders as save_pretrained writes them, and folders that are not.
#include "checkpoint/pretrained_files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>

#include "checkpoint/element_conversion.h"
#include "core/file.h"
#include "deepspeed/error.h"
#include "io/safetensors_writer.h"
#include "support/scratch_folder.h"

namespace deepspeed::checkpoint {
namespace {

namespace fs = std::filesystem;
using io::ElementType;

fs::path fresh_folder(const std::string& name) {
  const fs::path folder = test::scratch_path(name);
  fs::create_directories(folder);
  return folder;
}

std::vector<float> counted(int64_t numel, float start) {
  std::vector<float> values(static_cast<size_t>(numel));
  std::iota(values.begin(), values.end(), start);
  return values;
}

void write_file(const fs::path& path, const std::string& key, const std::vector<float>& values) {
  io::SafetensorsWriter writer(path, {{key, ElementType::kFloat32, {static_cast<int64_t>(values.size())}}});
  writer.write(0, values.data());
  writer.commit();
}

/// Two files and their index, with `weight_map` in place of the right one where it is given.
fs::path make_sharded(const std::string& name,
                      const std::string& weight_map = R"({"a": "one.safetensors", "b": "two.safetensors"})") {
  const fs::path folder = fresh_folder(name);
  write_file(folder / "one.safetensors", "a", counted(5, 0));
  write_file(folder / "two.safetensors", "b", counted(7, 100));
  core::write_file_atomically(folder / "model.safetensors.index.json", R"({"weight_map": )" + weight_map + "}");
  return folder;
}

template <class Action>
std::string error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

void expect_open_error(const fs::path& folder, const std::vector<std::string>& parts) {
  const std::string error = error_of([&] { PretrainedFiles::open(folder); });
  for (const std::string& part : parts) EXPECT_NE(error.find(part), std::string::npos) << part << " in " << error;
}

TEST(PretrainedFiles, OnlyTheRangesThatAreAskedForAreReadFromTheFilesOfTheIndex) {
  PretrainedFiles files = PretrainedFiles::open(make_sharded("ranges"));
  const uint64_t headers = files.bytes_read();
  const auto reads =
      plan_reads({{"pb", "b", {7}, ElementType::kFloat32, {2, 5}}, {"pa", "a", {5}, ElementType::kBFloat16, {4, 5}}},
                 files.tensors(), files.where());
  ASSERT_EQ(reads.size(), 2U);
  uint16_t bfloat = 0;
  files.read(reads[0], &bfloat);
  EXPECT_EQ(bfloat, 0x4080);  // 4
  std::vector<float> b(3);
  files.read(reads[1], b.data());
  EXPECT_EQ(b, counted(3, 102));
  EXPECT_EQ(files.bytes_read() - headers, 4U * 4);
}

TEST(PretrainedFiles, ConversionInChunksIsConversionInOnePiece) {
  const fs::path folder = fresh_folder("chunks");
  const int64_t numel = 3 * 1024 * 1024 / 4 + 11;  // of the file's type: several chunks and a rest
  const std::vector<float> values = counted(numel, 0.37F);
  write_file(folder / "model.safetensors", "w", values);
  PretrainedFiles files = PretrainedFiles::open(folder);
  const auto reads =
      plan_reads({{"w", "w", {numel}, ElementType::kBFloat16, {1, numel}}}, files.tensors(), files.where());
  std::vector<uint16_t> found(static_cast<size_t>(numel - 1));
  std::vector<uint16_t> expected(found.size());
  files.read(reads.at(0), found.data());
  convert_elements(ElementType::kFloat32, values.data() + 1, ElementType::kBFloat16, expected.data(), numel - 1);
  EXPECT_EQ(found, expected);
}

TEST(PretrainedFiles, WhatIsMissingIsNamedWithWhatIsThereInstead) {
  expect_open_error("/nowhere/at/all", {"/nowhere/at/all", "does not exist"});
  const fs::path empty = fresh_folder("empty");
  expect_open_error(empty, {empty.string(), "model.safetensors.index.json", "save_pretrained"});
  core::write_file_atomically(empty / "pytorch_model.bin", "x");
  expect_open_error(empty, {"pytorch_model.bin", "pickle", "from_pretrained"});
  const fs::path folder = make_sharded("lacks");
  fs::remove(folder / "two.safetensors");
  expect_open_error(folder, {"model.safetensors.index.json", "two.safetensors", "does not exist"});
}

TEST(PretrainedFiles, AnIndexThatDoesNotFitItsFilesIsAnError) {
  expect_open_error(make_sharded("foreign", R"({"a": "one.safetensors", "c": "two.safetensors"})"),
                    {"'c'", "two.safetensors", "it is not"});
  expect_open_error(make_sharded("swapped", R"({"a": "two.safetensors", "b": "two.safetensors"})"), {"'a'"});
  expect_open_error(make_sharded("outside", R"({"a": "../one.safetensors"})"), {"../one.safetensors"});
  expect_open_error(make_sharded("absolute", R"({"a": "/etc/passwd"})"), {"/etc/passwd"});
  expect_open_error(make_sharded("dots", R"({"a": ".."})"), {".."});
  expect_open_error(make_sharded("number", R"({"a": 3})"), {"'a'"});
  expect_open_error(make_sharded("list", "[]"), {"weight_map"});
  expect_open_error(make_sharded("json", "{"), {"damaged"});
}

TEST(PretrainedFiles, AKeyInTwoFilesIsAnError) {
  const fs::path folder = make_sharded("twice");
  write_file(folder / "two.safetensors", "a", counted(5, 0));
  expect_open_error(folder, {"'a'", "one.safetensors", "two.safetensors"});
}

TEST(PretrainedFiles, AFileThatIsShortenedWhileItIsOpenIsAnError) {
  const fs::path folder = fresh_folder("shortened");
  write_file(folder / "model.safetensors", "w", counted(10000, 0));
  PretrainedFiles files = PretrainedFiles::open(folder);
  const auto reads = plan_reads({{"w", "w", {10000}, ElementType::kFloat32, {5000, 10000}}}, files.tensors(), "");
  fs::resize_file(folder / "model.safetensors", 30000);
  std::vector<float> out(5000);
  const std::string error = error_of([&] { files.read(reads.at(0), out.data()); });
  EXPECT_NE(error.find("model.safetensors"), std::string::npos) << error;
  EXPECT_NE(error.find("30000"), std::string::npos) << error;
}

TEST(PretrainedFiles, TornAndDamagedFilesAreErrorsOrRightAndNeverCrash) {
  const fs::path folder = fresh_folder("damaged");
  const fs::path path = folder / "model.safetensors";
  const std::vector<float> values = counted(300, 0);
  write_file(path, "w", values);
  const std::string whole = core::read_file(path);
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 400; ++round) {
    std::string broken = whole;
    if (round % 2 == 0) {
      broken.resize(random() % whole.size());
    } else {  // the header: lengths, offsets, types, shapes
      broken[random() % (whole.size() - 1200)] ^= static_cast<char>(1 << random() % 8);
    }
    core::write_file_atomically(path, broken);
    try {
      PretrainedFiles files = PretrainedFiles::open(folder);
      std::vector<float> out(300);
      for (const PretrainedRead& read :
           plan_reads({{"w", "w", {300}, ElementType::kFloat32, {0, 300}}}, files.tensors(), ""))
        files.read(read, out.data());
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GE(refused, 300);  // all that were torn, and most of the others
}

}  // namespace
}  // namespace deepspeed::checkpoint
