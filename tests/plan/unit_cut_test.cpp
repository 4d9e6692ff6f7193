#include "plan/unit_cut.h"

#include <gtest/gtest.h>

#include <set>

namespace deepspeed::plan {
namespace {

std::vector<ModuleInfo> decoder_modules() {
  std::vector<ModuleInfo> modules = {{"", "LM", false}, {"embed", "Embedding", false}, {"layers", "ModuleList", true}};
  for (int i = 0; i < 3; ++i) {
    const std::string layer = "layers." + std::to_string(i);
    modules.push_back({layer, "Block", false});
    modules.push_back({layer + ".mlp", "Sequential", true});
    modules.push_back({layer + ".mlp.0", "Linear", false});
    modules.push_back({layer + ".mlp.1", "Linear", false});
  }
  modules.push_back({"head", "Linear", false});
  return modules;
}

std::vector<ParameterInfo> decoder_parameters() {
  std::vector<ParameterInfo> parameters = {{.name = "embed.weight", .numel = 1000}};
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 2; ++j)
      parameters.push_back(
          {.name = "layers." + std::to_string(i) + ".mlp." + std::to_string(j) + ".weight", .numel = 64});
  }
  parameters.push_back({.name = "head.weight", .numel = 1000});
  return parameters;
}

std::vector<std::string> names(const std::vector<Unit>& units) {
  std::vector<std::string> result;
  for (const Unit& unit : units) result.push_back(unit.name);
  return result;
}

TEST(UnitCut, RepeatedChildrenOfAListAreBlocksAndTheOutermostWins) {
  const auto units = cut_units(decoder_parameters(), decoder_modules(), {}, 2);
  EXPECT_EQ(names(units), (std::vector<std::string>{"embed.weight..head.weight", "layers.0", "layers.1", "layers.2"}));
  EXPECT_EQ(units[1].lanes.at(0).placements.size(), 2u);
}

TEST(UnitCut, NoSplitClassesAndLeafModulesMakeBlocks) {
  const UnitHints hints{.leaf_modules = {"layers"}, .no_split_classes = {"Embedding"}};
  EXPECT_EQ(names(cut_units(decoder_parameters(), decoder_modules(), hints, 2)),
            (std::vector<std::string>{"embed", "layers", "head.weight"}));
}

TEST(UnitCut, LooseParametersFillUnitsUpToTheLimit) {
  const std::vector<ParameterInfo> parameters = {{.name = "a", .numel = kLooseUnitNumel - 10},
                                                 {.name = "b", .numel = 10},
                                                 {.name = "c", .numel = kLooseUnitNumel + 5},
                                                 {.name = "d", .numel = 1}};
  EXPECT_EQ(names(cut_units(parameters, {{"", "M", false}}, {}, 1)), (std::vector<std::string>{"a..b", "c", "d"}));
}

TEST(UnitCut, EveryParameterIsInExactlyOneUnit) {
  std::multiset<int> seen;
  for (const Unit& unit : cut_units(decoder_parameters(), decoder_modules(), {}, 4)) {
    for (const Lane& lane : unit.lanes) {
      for (const Placement& placement : lane.placements) seen.insert(placement.parameter);
    }
  }
  EXPECT_EQ(seen.size(), decoder_parameters().size());
  EXPECT_EQ(std::set<int>(seen.begin(), seen.end()).size(), seen.size());
}

}  // namespace
}  // namespace deepspeed::plan
