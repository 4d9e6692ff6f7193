// Which modules a list of rules declares to be leaves: one unit each, whatever is inside them.
#pragma once

#include <string>
#include <vector>

#include "plan/unit_cut.h"

namespace deepspeed::plan {

/// A module is a leaf where any entry matches it.
struct LeafRules {
  std::vector<std::string> classes;  ///< "Class", or any longer end of its path: "file.Class", "package.file.Class"
  std::vector<std::string> names;    ///< whole paths in the model
  std::vector<std::string> name_suffixes;  ///< last parts of a path: "mlp" matches "layers.0.mlp"
};

struct FoundLeaves {
  std::vector<std::string> paths;      ///< in the order of the modules
  std::vector<std::string> unmatched;  ///< entries that match no module
};

FoundLeaves find_leaf_modules(const std::vector<ModuleInfo>& modules, const LeafRules& rules);

}  // namespace deepspeed::plan
