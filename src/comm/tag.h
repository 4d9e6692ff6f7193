// What a collective is for. Every collective carries one; it is named in errors and compared between ranks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace deepspeed::comm {

enum class Phase : uint8_t { kSetup, kReduce, kGather, kNorm, kCheckpoint, kUser };

std::string_view phase_name(Phase phase);

struct Tag {
  int64_t step = 0;
  Phase phase = Phase::kUser;
  int unit = -1;                     ///< -1: no unit
  std::string_view name;             ///< the unit's name, or what else it is
  std::string_view parameters = {};  ///< the first of the unit's, where its name does not say them
};

/// "gradient reduction of layers.3 in step 12 (layers.3.0.weight, layers.3.0.bias and 4 more)"
std::string describe(const Tag& tag);

}  // namespace deepspeed::comm
