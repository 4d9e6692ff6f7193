// Choosing blocks in the module tree and assigning parameters to them.
#include "plan/unit_cut.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace deepspeed::plan {
namespace {

std::string_view parent_of(std::string_view path) {
  const size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? std::string_view{} : path.substr(0, dot);
}

std::unordered_set<std::string> repeated_in_lists(const std::vector<ModuleInfo>& modules) {
  std::unordered_set<std::string_view> lists;
  for (const ModuleInfo& module : modules) {
    if (module.is_list) lists.insert(module.path);
  }
  std::map<std::pair<std::string_view, std::string_view>, int> occurrences;  // (list, class) -> children
  for (const ModuleInfo& module : modules) {
    if (!module.path.empty()) ++occurrences[{parent_of(module.path), module.class_name}];
  }
  std::unordered_set<std::string> blocks;
  for (const ModuleInfo& module : modules) {
    if (module.path.empty() || module.is_list || !lists.contains(parent_of(module.path))) continue;
    if (occurrences[{parent_of(module.path), module.class_name}] >= 2) blocks.insert(module.path);
  }
  return blocks;
}

std::unordered_set<std::string> choose_blocks(const std::vector<ModuleInfo>& modules, const UnitHints& hints) {
  std::unordered_set<std::string> blocks = repeated_in_lists(modules);
  blocks.insert(hints.leaf_modules.begin(), hints.leaf_modules.end());
  const std::set<std::string> no_split(hints.no_split_classes.begin(), hints.no_split_classes.end());
  for (const ModuleInfo& module : modules) {
    if (no_split.contains(module.class_name)) blocks.insert(module.path);
  }
  return blocks;
}

/// The outermost block around a parameter, or nothing ("" would be the root).
const std::string* outermost_block(std::string_view parameter, const std::unordered_set<std::string>& blocks) {
  if (const auto root = blocks.find(""); root != blocks.end()) return &*root;
  for (size_t dot = parameter.find('.'); dot != std::string_view::npos; dot = parameter.find('.', dot + 1)) {
    const auto found = blocks.find(std::string(parameter.substr(0, dot)));
    if (found != blocks.end()) return &*found;
  }
  return nullptr;
}

struct Draft {
  std::string name;
  std::vector<int> parameters;
};

std::string bucket_name(const Draft& draft, const std::vector<ParameterInfo>& parameters) {
  const std::string& first = parameters[draft.parameters.front()].name;
  const std::string& last = parameters[draft.parameters.back()].name;
  return draft.parameters.size() == 1 ? first : first + ".." + last;
}

}  // namespace

std::vector<Unit> cut_units(const std::vector<ParameterInfo>& parameters, const std::vector<ModuleInfo>& modules,
                            const UnitHints& hints, int world) {
  const auto blocks = choose_blocks(modules, hints);
  std::vector<Draft> drafts;
  std::unordered_map<std::string, size_t> draft_of_block;
  int64_t loose_numel = 0;
  size_t loose_draft = 0;
  bool loose_open = false;
  for (int index = 0; index < static_cast<int>(parameters.size()); ++index) {
    const ParameterInfo& parameter = parameters[index];
    if (const std::string* block = outermost_block(parameter.name, blocks)) {
      const auto [found, added] = draft_of_block.try_emplace(*block, drafts.size());
      if (added) drafts.push_back({*block, {}});
      drafts[found->second].parameters.push_back(index);
      continue;
    }
    if (!loose_open || loose_numel + parameter.numel > kLooseUnitNumel) {
      loose_draft = drafts.size();
      drafts.push_back({});
      loose_numel = 0;
      loose_open = true;
    }
    drafts[loose_draft].parameters.push_back(index);
    loose_numel += parameter.numel;
  }
  std::vector<Unit> units;
  units.reserve(drafts.size());
  for (Draft& draft : drafts) {
    if (draft.name.empty()) draft.name = bucket_name(draft, parameters);
    units.push_back(lay_out_unit(draft.name, draft.parameters, parameters, world));
  }
  return units;
}

}  // namespace deepspeed::plan
