// Laying parameters out in lanes, and finding the pieces of a range.
#include "plan/unit.h"

#include <algorithm>
#include <utility>

#include "deepspeed/error.h"

namespace deepspeed::plan {
namespace {

int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

Lane lay_out_lane(std::vector<int> parameters, const std::vector<ParameterInfo>& infos, int world) {
  const ParameterInfo& first = infos[parameters.front()];
  std::stable_sort(parameters.begin(), parameters.end(), [&](int a, int b) { return infos[a].group < infos[b].group; });
  Lane lane{.dtype = first.dtype, .trainable = first.trainable, .numel = 0, .placements = {}};
  const int64_t alignment = std::max<int64_t>(1, kAlignmentBytes / core::dtype_bytes(lane.dtype));
  int64_t offset = 0;
  for (const int index : parameters) {
    lane.placements.push_back({index, infos[index].group, {offset, offset + infos[index].numel}});
    offset = round_up(offset + infos[index].numel, alignment);
  }
  lane.numel = round_up(offset, alignment * world);
  return lane;
}

}  // namespace

Range intersect(Range a, Range b) {
  const Range both{std::max(a.begin, b.begin), std::min(a.end, b.end)};
  return both.empty() ? Range{both.begin, both.begin} : both;
}

std::vector<Piece> pieces_in(const Lane& lane, Range range) {
  std::vector<Piece> pieces;
  for (const Placement& placement : lane.placements) {
    const Range both = intersect(placement.range, range);
    if (both.empty()) continue;
    const int64_t start = placement.range.begin;
    pieces.push_back({placement.parameter, placement.group, both, {both.begin - start, both.end - start}});
  }
  return pieces;
}

Unit lay_out_unit(std::string name, const std::vector<int>& parameters, const std::vector<ParameterInfo>& infos,
                  int world) {
  DS_CHECK(world >= 1, ValueError, "[plan.unit] world size: got ", world, ", expected at least 1");
  std::vector<std::pair<std::pair<core::Dtype, bool>, std::vector<int>>> kinds;
  for (const int index : parameters) {
    const auto kind = std::make_pair(infos[index].dtype, infos[index].trainable);
    auto found = std::find_if(kinds.begin(), kinds.end(), [&](const auto& entry) { return entry.first == kind; });
    if (found == kinds.end()) found = kinds.insert(kinds.end(), {kind, {}});
    found->second.push_back(index);
  }
  Unit unit{.name = std::move(name), .lanes = {}};
  for (auto& [kind, members] : kinds) unit.lanes.push_back(lay_out_lane(std::move(members), infos, world));
  return unit;
}

}  // namespace deepspeed::plan
