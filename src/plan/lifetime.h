// A ZeRO stage is only a lifetime: this table is the whole difference between the stages. Nothing outside zero/ asks
// which stage it is.
#pragma once

#include <string_view>

namespace deepspeed::plan {

enum class Lifetime {
  kAlways,         ///< whole for the engine's life
  kUntilBoundary,  ///< whole until the boundary step, then only the shard counts
  kUntilReduced,   ///< in a slot until its unit is reduced, then only the shard
  kBoundForUse,    ///< bound to a slot around each use, only the shard in between
};

struct StageLifetimes {
  Lifetime parameters;
  Lifetime gradients;
  bool states_sharded;  ///< master weights and optimizer state: the rank's shard, or whole on every rank
};

/// Throws ValueError for stages other than 0 to 3.
StageLifetimes stage_lifetimes(int stage);

std::string_view lifetime_name(Lifetime lifetime);

}  // namespace deepspeed::plan
