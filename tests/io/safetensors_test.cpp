// Reader and writer together, hand-made damaged headers, and seeded mutations of a valid file.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/file.h"
#include "deepspeed/error.h"
#include "io/crc32c.h"
#include "io/safetensors_reader.h"
#include "io/safetensors_writer.h"
#include "support/scratch_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace deepspeed::io {
namespace {

std::filesystem::path fresh_folder(const std::string& name) {
  const auto folder = test::scratch_path(name);
  std::filesystem::create_directories(folder);
  return folder;
}

std::string with_header(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

std::string error_of(const std::string& file) {
  try {
    parse_safetensors(file, "broken.safetensors");
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "";
}

void expect_error(const std::string& header, const std::string& data, const std::string& expected) {
  const std::string error = error_of(with_header(header, data));
  EXPECT_NE(error.find(expected), std::string::npos) << "got: '" << error << "' for " << header;
  EXPECT_NE(error.find("broken.safetensors"), std::string::npos);
}

TEST(Safetensors, WhatIsWrittenInAnyOrderIsReadBack) {
  const auto path = fresh_folder("roundtrip") / "file.safetensors";
  const std::vector<uint8_t> flags = {1, 0, 1};
  const std::vector<float> weights = {1.5f, -2, 3, 4, 5, 6};
  const double scalar = 0.25;
  const std::vector<char> large(3'000'001, 'x');
  SafetensorsWriter writer(path, {{"flags", ElementType::kBool, {3}},
                                  {"empty", ElementType::kInt64, {4, 0}},
                                  {"weights \"q\" \u00e9", ElementType::kFloat32, {2, 3}},
                                  {"large", ElementType::kInt8, {3'000'001}},
                                  {"scalar", ElementType::kFloat64, {}}});
  EXPECT_EQ(writer.write(4, &scalar), crc32c(&scalar, 8));
  EXPECT_EQ(writer.write(0, flags.data()), crc32c(flags.data(), 3));
  EXPECT_EQ(writer.write(3, large.data()), crc32c(large.data(), large.size()));
  writer.write(1, nullptr);
  writer.write(2, weights.data());
  EXPECT_FALSE(std::filesystem::exists(path));
  writer.commit();

  const SafetensorsReader reader(path);
  EXPECT_EQ(reader.file_bytes(), writer.file_bytes());
  EXPECT_EQ(reader.header_crc32c(), writer.header_crc32c());
  EXPECT_EQ(reader.header().bytes % 8, 0u);
  EXPECT_EQ(reader.header().metadata.at("format"), "pt");
  ASSERT_EQ(reader.header().tensors.size(), 5u);
  for (const auto& tensor : reader.header().tensors) {
    if (tensor.bytes > 0) {
      EXPECT_EQ(tensor.offset % static_cast<uint64_t>(element_bytes(tensor.type)), 0u) << tensor.key;
    }
  }
  const auto* tensor = reader.find("weights \"q\" \u00e9");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(std::memcmp(reader.data(*tensor), weights.data(), 24), 0);
  EXPECT_EQ(std::memcmp(reader.data(*reader.find("large")), large.data(), large.size()), 0);
  EXPECT_EQ(std::memcmp(reader.data(*reader.find("scalar")), &scalar, 8), 0);
  EXPECT_EQ(reader.find("absent"), nullptr);
}

TEST(Safetensors, AnUncommittedFileVanishes) {
  const auto folder = fresh_folder("uncommitted");
  { SafetensorsWriter writer(folder / "file", {{"w", ElementType::kFloat32, {2}}}); }
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST(Safetensors, CommitBeforeAllTensorsAreWrittenIsABugThatNamesTheTensor) {
  SafetensorsWriter writer(fresh_folder("missing") / "file", {{"forgotten", ElementType::kFloat32, {2}}});
  try {
    writer.commit();
    FAIL() << "expected InternalError";
  } catch (const InternalError& error) {
    EXPECT_NE(std::string(error.what()).find("'forgotten'"), std::string::npos);
  }
}

TEST(Safetensors, AFullDiskIsAnIoErrorAndLeavesNothing) {
  const auto folder = fresh_folder("full");
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  getrlimit(RLIMIT_FSIZE, &old_limit);
  const rlimit small{1'500'000, old_limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  {
    const std::vector<char> data(4'000'000);
    SafetensorsWriter writer(folder / "file", {{"w", ElementType::kInt8, {4'000'000}}});
    EXPECT_THROW(writer.write(0, data.data()), IoError);
  }
  setrlimit(RLIMIT_FSIZE, &old_limit);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST(Safetensors, ImpossibleDeclarationsAreRefused) {
  const auto path = fresh_folder("declarations") / "file";
  const TensorDeclaration good{"w", ElementType::kFloat32, {2}};
  EXPECT_THROW(SafetensorsWriter(path, {good, good}), ValueError);
  EXPECT_THROW(SafetensorsWriter(path, {{"__metadata__", ElementType::kFloat32, {2}}}), ValueError);
  EXPECT_THROW(SafetensorsWriter(path, {{"w", ElementType::kFloat32, {int64_t{1} << 40, 1 << 20}}}), ValueError);
  EXPECT_THROW(SafetensorsWriter(path, {{"\xff", ElementType::kFloat32, {2}}}), ValueError);
}

TEST(Safetensors, EachDamageOfAHeaderIsNamed) {
  const std::string four(4, 'x');
  EXPECT_EQ(error_of(with_header(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", four)), "");
  EXPECT_NE(error_of("short").find("5 bytes"), std::string::npos);
  const uint64_t huge = std::numeric_limits<uint64_t>::max();
  EXPECT_NE(error_of(std::string(reinterpret_cast<const char*>(&huge), 8)).find("above the limit"), std::string::npos);
  const uint64_t torn = 1000;
  EXPECT_NE(error_of(std::string(reinterpret_cast<const char*>(&torn), 8) + "{}").find("torn"), std::string::npos);
  expect_error("[]", "", "not an object");
  expect_error("{", "", "damaged");
  expect_error(R"({"a":3})", four, "tensor 'a'");
  expect_error(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", four, "dtype is missing");
  expect_error(R"({"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", four, "unknown dtype 'F33'");
  expect_error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", four, "needs 8 bytes");
  expect_error(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", four, "shape holds");
  expect_error(R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", four, "shape holds");
  expect_error(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}})", four, "too large");
  expect_error(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", four, "reach beyond");
  expect_error(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", four, "[begin, end]");
  expect_error(R"({"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})", four, "the tensors end");
  expect_error(
      R"({"a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"I8","shape":[3],"data_offsets":[1,4]}})",
      four, "overlap");
  expect_error(
      R"({"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}})",
      four, "twice");
  expect_error(R"({"__metadata__":{"a":1},"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}})", four, "__metadata__");
}

// One to four random edits.
std::string mutated(std::string text, std::mt19937& random) {
  for (uint32_t edits = 1 + random() % 4; edits > 0; --edits) {
    if (text.empty()) text = "x";
    const size_t at = random() % text.size();
    switch (random() % 4) {
      case 0:
        text[at] = static_cast<char>(random());
        break;
      case 1:
        text.erase(at, 1 + random() % 8);
        break;
      case 2:
        text.insert(at, std::string(1 + random() % 8, "0[]{},:\"9e"[random() % 10]));
        break;
      default:
        text.insert(at, std::string(text), random() % text.size(), random() % 20);
        break;
    }
  }
  return text;
}

TEST(Safetensors, NoMutationOfAValidFileCrashesTheParser) {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]}})";
  const std::string data(12, 'd');
  ASSERT_EQ(error_of(with_header(header, data)), "");
  std::mt19937 random(11);
  for (int round = 0; round < 10'000; ++round) {
    // Most headers keep a length that fits, or little of the parser behind that check would be reached.
    const std::string file =
        round % 4 == 0 ? mutated(with_header(header, data), random) : with_header(mutated(header, random), data);
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(file.data()), file.size());
  }
}

}  // namespace
}  // namespace deepspeed::io
