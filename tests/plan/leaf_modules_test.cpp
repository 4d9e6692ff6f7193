#include "plan/leaf_modules.h"

#include <gtest/gtest.h>

namespace deepspeed::plan {
namespace {

using Paths = std::vector<std::string>;

const std::vector<ModuleInfo> kModules = {{"", "Net", false, "app.Net"},
                                          {"layers", "ModuleList", true, "torch.nn.ModuleList"},
                                          {"layers.0", "Block", false, "app.models.Block"},
                                          {"layers.0.mlp", "Moe", false, "app.models.Moe"},
                                          {"layers.1", "Block", false, "app::models::Block"},
                                          {"layers.1.mlp", "Moe", false, "app::models::Moe"},
                                          {"final_mlp", "Linear", false, "torch.nn.Linear"}};

TEST(LeafModules, AClassMatchesByNameAndByAnyEndOfItsPath) {
  EXPECT_EQ(find_leaf_modules(kModules, {.classes = {"Moe"}}).paths, (Paths{"layers.0.mlp", "layers.1.mlp"}));
  EXPECT_EQ(find_leaf_modules(kModules, {.classes = {"models.Moe"}}).paths, (Paths{"layers.0.mlp"}));
  EXPECT_EQ(find_leaf_modules(kModules, {.classes = {"models::Moe"}}).paths, (Paths{"layers.1.mlp"}));
  EXPECT_EQ(find_leaf_modules(kModules, {.classes = {"app.models.Moe"}}).paths, (Paths{"layers.0.mlp"}));
  EXPECT_EQ(find_leaf_modules(kModules, {.classes = {"oe", "els.Moe"}}).paths, Paths{});
}

TEST(LeafModules, NamesAreWholePathsAndSuffixesWholeParts) {
  EXPECT_EQ(find_leaf_modules(kModules, {.names = {"layers.1", "mlp"}}).paths, (Paths{"layers.1"}));
  EXPECT_EQ(find_leaf_modules(kModules, {.name_suffixes = {"mlp"}}).paths, (Paths{"layers.0.mlp", "layers.1.mlp"}));
  EXPECT_EQ(find_leaf_modules(kModules, {.name_suffixes = {"0.mlp"}}).paths, (Paths{"layers.0.mlp"}));
}

TEST(LeafModules, EntriesThatMatchNothingAreNamedAndModulesComeOnceInOrder) {
  const FoundLeaves found =
      find_leaf_modules(kModules, {.classes = {"Moe", "Mole"}, .names = {"layers.0.mlp", "x"}, .name_suffixes = {"y"}});
  EXPECT_EQ(found.paths, (Paths{"layers.0.mlp", "layers.1.mlp"}));
  EXPECT_EQ(found.unmatched, (Paths{"Mole", "x", "y"}));
}

}  // namespace
}  // namespace deepspeed::plan
