#include "checkpoint/manifest.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "deepspeed/error.h"
#include "sample.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace deepspeed::checkpoint {
namespace {

Manifest sample_manifest() {
  Manifest manifest;
  manifest.versions = {{"deepspeed", "0.1.0"}};
  manifest.saved_unix_ms = 123;
  manifest.world = 2;
  manifest.files = {{"rank_0.safetensors", {100, 7}}, {"rank_1.safetensors", {200, 8}}};
  manifest.aliases = {{"head", "w"}};
  manifest.state = {{"z", 1}, {"a", {{"$tuple", {1, 2}}}}};
  manifest.entries = {
      {"w", "weight", io::ElementType::kBFloat16, {4, 6}, {{0, 0}, {4, 3}}, {0, 12}, "rank_0.safetensors", "w", 1},
      {"w", "weight", io::ElementType::kBFloat16, {4, 6}, {{0, 3}, {4, 3}}, {0, 5}, "rank_0.safetensors", "w#2", 2},
      {"w",
       "weight",
       io::ElementType::kBFloat16,
       {4, 6},
       {{0, 3}, {4, 3}},
       {5, 12},
       "rank_1.safetensors",
       "w",
       4294967295}};
  return manifest;
}

std::string error_after(const std::function<void(Manifest&)>& change) {
  Manifest manifest = sample_manifest();
  change(manifest);
  return message_of<CheckpointError>([&] { parse_manifest(manifest_text(manifest), "out/tag/manifest.json"); });
}

TEST(Manifest, TextComesBackTheSame) {
  const std::string text = manifest_text(sample_manifest());
  const Manifest manifest = parse_manifest(text, "m");
  EXPECT_EQ(manifest_text(manifest), text);
  EXPECT_EQ(manifest.entries[2].range, (Range{5, 12}));
  EXPECT_EQ(manifest.state.dump(), sample_manifest().state.dump());
  EXPECT_NO_THROW(check_coverage(manifest, "m"));
}

TEST(Manifest, EveryFlippedByteIsDetected) {
  const std::string text = manifest_text(sample_manifest());
  for (size_t at = 0; at < text.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = text;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      ASSERT_THROW(parse_manifest(damaged, "m"), CheckpointError) << at;
    }
    ASSERT_THROW(parse_manifest(text.substr(0, at), "m"), CheckpointError) << at;
  }
}

TEST(Manifest, ContradictionsNameTheEntry) {
  EXPECT_NE(error_after([](Manifest& m) { m.entries[1].box.extent[1] = 4; }).find("'w', state 'weight'"),
            std::string::npos);
  EXPECT_NE(error_after([](Manifest& m) { m.entries[1].range.end = 13; }).find("range [0, 13)"), std::string::npos);
  EXPECT_NE(error_after([](Manifest& m) { m.entries[1].file = "x"; }).find("'x' is not in the list"),
            std::string::npos);
  EXPECT_NE(error_after([](Manifest& m) { m.entries[1].global_shape = {4, 7}; }).find("disagree"), std::string::npos);
  EXPECT_NE(error_after([](Manifest& m) { m.files["../x"] = {}; }).find("'../x'"), std::string::npos);
  EXPECT_NE(error_after([](Manifest& m) { m.aliases["q"] = "nobody"; }).find("'nobody'"), std::string::npos);
  EXPECT_NE(error_after([](Manifest& m) { m.state["t"] = encode_tensor_reference("lost"); }).find("'lost'"),
            std::string::npos);
  EXPECT_NE(error_after([](Manifest& m) {
              m.entries[1].global_shape = {1ll << 62, 1ll << 62};
            }).find("impossible"),
            std::string::npos);
  // A number of elements that fits 64 bits, but not their bytes.
  EXPECT_NE(error_after([](Manifest& m) {
              Entry huge = m.entries[2];
              huge.name = "huge";
              huge.type = io::ElementType::kFloat64;
              huge.global_shape = {1ll << 61};
              huge.box = whole_box(huge.global_shape);
              huge.range = {0, 1};
              m.entries.push_back(huge);
            }).find("impossible"),
            std::string::npos);
}

TEST(Manifest, ElementsThatNobodyWroteAreNamed) {
  Manifest manifest = sample_manifest();
  manifest.entries[2].range.begin = 6;  // leaves out element 5 of its box: row 1, column 5 of the tensor
  const auto error = message_of<CheckpointError>([&] { check_coverage(manifest, "m"); });
  EXPECT_NE(error.find("'w', state 'weight', from element 11 to 12 of 24"), std::string::npos) << error;
}

TEST(Manifest, NoMutationCrashesTheParser) {
  const std::string whole = manifest_text(sample_manifest());
  const std::string body = whole.substr(whole.find('\n') + 1);
  std::mt19937 random(12);
  for (int round = 0; round < 10'000; ++round) {
    std::string text = body;
    for (uint32_t edits = 1 + random() % 3; edits > 0; --edits) {
      const size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = "0123456789[]{},:\"-e "[random() % 20];
          break;
        case 1:
          text.erase(at, 1 + random() % 8);
          break;
        default:
          text.insert(at, body, random() % body.size(), random() % 30);
          break;
      }
      if (text.empty()) text = "x";
    }
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  }
}

}  // namespace
}  // namespace deepspeed::checkpoint
