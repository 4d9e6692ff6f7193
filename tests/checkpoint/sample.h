// A small checkpoint whose every element is known: element i of a tensor is seed + i.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "checkpoint/reader.h"
#include "checkpoint/writer.h"
#include "support/error_message.h"
#include "support/scratch_folder.h"

namespace deepspeed::checkpoint {

using test::message_of;
using test::scratch_path;

inline constexpr int64_t kSampleRows = 5;
inline constexpr int64_t kSampleColumns = 7;
inline constexpr int64_t kSampleNumel = kSampleRows * kSampleColumns;

inline std::vector<float> sample_values(float seed) {
  std::vector<float> values(kSampleNumel);
  std::iota(values.begin(), values.end(), seed);
  return values;
}

/// Saves "w" (weight, cut into `world` ranges) and "step" (extra, on rank 0) as `world` ranks one after the other.
inline void save_sample(const std::filesystem::path& folder, const std::string& tag, float seed, int world = 2) {
  const auto values = sample_values(seed);
  const std::vector<int64_t> shape = {kSampleRows, kSampleColumns};
  const auto step = static_cast<int64_t>(seed);
  CheckpointWriter root(folder, tag, 0, world);
  root.prepare();
  CheckpointWriter::Commit commit;
  for (int rank = 0; rank < world; ++rank) {
    CheckpointWriter other(folder, tag, rank, world);
    CheckpointWriter& writer = rank == 0 ? root : other;
    const Range range{kSampleNumel * rank / world, kSampleNumel * (rank + 1) / world};
    writer.add({"w", kWeightState, io::ElementType::kFloat32, shape, whole_box(shape), range},
               &values[static_cast<size_t>(range.begin)]);
    if (rank == 0) writer.add(whole_tensor("step", kExtraState, io::ElementType::kInt64, {}), &step);
    commit.reports.push_back(writer.write());
  }
  commit.state = {{"seed", encode_float(seed)}, {"step", encode_tensor_reference("step")}};
  commit.aliases = {{"tied", "w"}};
  commit.versions = {{"deepspeed", "0.1.0"}};
  root.commit(commit);
}

/// The seed of a checkpoint, after a check that every element and the state belong to that seed.
inline float checked_seed(CheckpointReader& reader) {
  std::vector<float> values(kSampleNumel);
  reader.read("w", kWeightState, whole_box({kSampleRows, kSampleColumns}), {0, kSampleNumel}, values.data(),
              io::ElementType::kFloat32);
  EXPECT_EQ(values, sample_values(values[0]));
  EXPECT_EQ(decode_float(reader.state()["seed"], "seed"), values[0]);
  EXPECT_TRUE(reader.find_damage().empty());
  return values[0];
}

}  // namespace deepspeed::checkpoint
