// The table of lifetimes.
#include "plan/lifetime.h"

#include <array>

#include "deepspeed/error.h"

namespace deepspeed::plan {

StageLifetimes stage_lifetimes(int stage) {
  static constexpr std::array<StageLifetimes, 4> kTable = {{
      {Lifetime::kAlways, Lifetime::kAlways, false},
      {Lifetime::kAlways, Lifetime::kUntilBoundary, true},
      {Lifetime::kAlways, Lifetime::kUntilReduced, true},
      {Lifetime::kBoundForUse, Lifetime::kUntilReduced, true},
  }};
  DS_CHECK(stage >= 0 && stage < static_cast<int>(kTable.size()), ValueError, "[plan.lifetime] ZeRO stage: got ", stage,
           ", expected 0, 1, 2 or 3");
  return kTable[stage];
}

std::string_view lifetime_name(Lifetime lifetime) {
  switch (lifetime) {
    case Lifetime::kAlways:
      return "always";
    case Lifetime::kUntilBoundary:
      return "until the boundary step";
    case Lifetime::kUntilReduced:
      return "until reduced";
    case Lifetime::kBoundForUse:
      return "bound for use";
  }
  throw InternalError("[plan.lifetime] unknown lifetime");
}

}  // namespace deepspeed::plan
