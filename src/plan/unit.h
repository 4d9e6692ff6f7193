// Units, lanes and placements: where each parameter lies, as integers. Units and shard boundaries are the same at
// every ZeRO stage; what a stage decides is how long each lane lives (lifetime.h).
//
// A unit is a set of parameters that is gathered, reduced and stepped together. Inside it a lane is one flat range of
// one (dtype, trainable) kind; rank r of `world` owns the r-th equal part of every lane, its shard.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/dtype.h"

namespace deepspeed::plan {

/// Every parameter starts on a multiple of this many bytes (a cache line) in its lane.
inline constexpr int64_t kAlignmentBytes = 64;

/// Half-open range of elements.
struct Range {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t numel() const { return end - begin; }
  bool empty() const { return end <= begin; }
  bool operator==(const Range&) const = default;
};

Range intersect(Range a, Range b);

/// What planning knows of one parameter. `group` is its optimizer group, -1 where it is in none.
struct ParameterInfo {
  std::string name;
  int64_t numel = 0;
  core::Dtype dtype = core::Dtype::kFloat32;
  bool trainable = true;
  int group = -1;
};

/// One parameter's place in its lane. `parameter` indexes the list that the units were cut from.
struct Placement {
  int parameter = 0;
  int group = -1;
  Range range;
};

struct Lane {
  core::Dtype dtype = core::Dtype::kFloat32;
  bool trainable = true;
  int64_t numel = 0;                  ///< padded to world x alignment
  std::vector<Placement> placements;  ///< ascending; groups are contiguous

  int64_t shard_numel(int world) const { return numel / world; }
  Range shard(int rank, int world) const { return {rank * shard_numel(world), (rank + 1) * shard_numel(world)}; }
};

struct Unit {
  std::string name;  ///< the module path, or "first..last" parameter of a bucket of small ones
  std::vector<Lane> lanes;
};

/// A part of a placement that lies in some range: `in_lane` in lane coordinates, `in_parameter` in the parameter's own.
struct Piece {
  int parameter = 0;
  int group = -1;
  Range in_lane;
  Range in_parameter;
};

/// The pieces of `lane` inside `range`, ascending; zero-size parameters appear in none.
std::vector<Piece> pieces_in(const Lane& lane, Range range);

/// Lays the parameters of one unit out in lanes: by (dtype, trainable) in order of first appearance, inside a lane by
/// group and then in the given order.
Unit lay_out_unit(std::string name, const std::vector<int>& parameters, const std::vector<ParameterInfo>& infos,
                  int world);

}  // namespace deepspeed::plan
