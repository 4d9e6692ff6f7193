#include "plan/unit.h"

#include <gtest/gtest.h>

namespace deepspeed::plan {
namespace {

std::vector<ParameterInfo> mixed_parameters() {
  return {{"a", 100, core::Dtype::kBFloat16, true, 1},
          {"b", 7, core::Dtype::kFloat32, true, 0},
          {"c", 33, core::Dtype::kBFloat16, true, 0},
          {"d", 0, core::Dtype::kBFloat16, true, 0},
          {"e", 64, core::Dtype::kBFloat16, false, -1}};
}

TEST(Unit, OneLaneAKindWithGroupsContiguous) {
  const Unit unit = lay_out_unit("block", {0, 1, 2, 3, 4}, mixed_parameters(), 3);
  ASSERT_EQ(unit.lanes.size(), 3u);
  const Lane& trained = unit.lanes[0];
  EXPECT_EQ(trained.dtype, core::Dtype::kBFloat16);
  EXPECT_TRUE(trained.trainable);
  ASSERT_EQ(trained.placements.size(), 3u);
  EXPECT_EQ(trained.placements[0].parameter, 2);  // group 0 first
  EXPECT_EQ(trained.placements[1].parameter, 3);
  EXPECT_EQ(trained.placements[2].parameter, 0);
  EXPECT_FALSE(unit.lanes[2].trainable);
}

TEST(Unit, ParametersStartAlignedAndShardsAreEqual) {
  for (int world = 1; world <= 5; ++world) {
    for (const Lane& lane : lay_out_unit("block", {0, 1, 2, 3, 4}, mixed_parameters(), world).lanes) {
      EXPECT_EQ(lane.numel % world, 0);
      EXPECT_EQ(lane.shard(world - 1, world).end, lane.numel);
      EXPECT_EQ(lane.shard_numel(world) * core::dtype_bytes(lane.dtype) % kAlignmentBytes, 0);
      for (const Placement& placement : lane.placements) {
        EXPECT_EQ(placement.range.begin * core::dtype_bytes(lane.dtype) % kAlignmentBytes, 0);
        EXPECT_LE(placement.range.end, lane.numel);
      }
    }
  }
}

// Every element of every parameter appears in exactly one rank's pieces, at the right place.
TEST(Unit, PiecesOfAllShardsCoverEveryParameterOnce) {
  const auto infos = mixed_parameters();
  for (int world = 1; world <= 7; ++world) {
    std::vector<std::vector<int>> hits(infos.size());
    for (size_t i = 0; i < infos.size(); ++i) hits[i].assign(infos[i].numel, 0);
    for (const Lane& lane : lay_out_unit("block", {0, 1, 2, 3, 4}, infos, world).lanes) {
      for (int rank = 0; rank < world; ++rank) {
        for (const Piece& piece : pieces_in(lane, lane.shard(rank, world))) {
          EXPECT_EQ(piece.in_lane.numel(), piece.in_parameter.numel());
          EXPECT_EQ(piece.group, infos[piece.parameter].group);
          for (int64_t i = piece.in_parameter.begin; i < piece.in_parameter.end; ++i) ++hits[piece.parameter][i];
        }
      }
    }
    for (const auto& parameter : hits)
      EXPECT_EQ(std::count(parameter.begin(), parameter.end(), 1), static_cast<int64_t>(parameter.size()));
  }
}

}  // namespace
}  // namespace deepspeed::plan
