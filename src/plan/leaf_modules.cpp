// Matching rules against the module tree.
#include "plan/leaf_modules.h"

#include <algorithm>
#include <set>
#include <string_view>

namespace deepspeed::plan {
namespace {

/// Whether `path` is `end` or ends with it after a separator.
bool ends_with_part(std::string_view path, std::string_view end, std::string_view separator) {
  if (path == end) return true;
  if (end.empty() || path.size() <= end.size() + separator.size() || !path.ends_with(end)) return false;
  path.remove_suffix(end.size());
  return path.ends_with(separator);
}

bool is_of_class(const ModuleInfo& module, const std::string& wanted) {
  return module.class_name == wanted || ends_with_part(module.class_path, wanted, ".") ||
         ends_with_part(module.class_path, wanted, "::");
}

}  // namespace

FoundLeaves find_leaf_modules(const std::vector<ModuleInfo>& modules, const LeafRules& rules) {
  std::set<std::string> leaves;
  FoundLeaves found;
  const auto apply = [&](const std::vector<std::string>& entries, auto matches) {
    for (const std::string& entry : entries) {
      bool any = false;
      for (const ModuleInfo& module : modules) {
        if (!matches(module, entry)) continue;
        leaves.insert(module.path);
        any = true;
      }
      if (!any) found.unmatched.push_back(entry);
    }
  };
  apply(rules.classes, is_of_class);
  apply(rules.names, [](const ModuleInfo& module, const std::string& name) { return module.path == name; });
  apply(rules.name_suffixes,
        [](const ModuleInfo& module, const std::string& suffix) { return ends_with_part(module.path, suffix, "."); });
  for (const ModuleInfo& module : modules) {
    if (leaves.contains(module.path)) found.paths.push_back(module.path);
  }
  return found;
}

}  // namespace deepspeed::plan
