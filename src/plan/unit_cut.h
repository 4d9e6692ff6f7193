// Which parameters form a unit: chosen from the module tree, never from sizes alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/unit.h"

namespace deepspeed::plan {

/// Parameters outside every block go in registration order into units of at most this many elements; a larger one is a
/// unit of its own.
inline constexpr int64_t kLooseUnitNumel = int64_t{1} << 24;

/// One module of the tree. `path` is dotted ("model.layers.0"), "" for the root.
struct ModuleInfo {
  std::string path;
  std::string class_name;
  bool is_list = false;      ///< a ModuleList or Sequential: repeated classes among its children are blocks
  std::string class_path{};  ///< where the class is defined too: "package.file.Class" or "space::Class"
};

struct UnitHints {
  std::vector<std::string> leaf_modules;      ///< paths that the user declared to be one unit each
  std::vector<std::string> no_split_classes;  ///< Hugging Face's _no_split_modules
};

/// Cuts all parameters into units, in order of first registration. A block is, from strongest to weakest: a leaf
/// module; a module of a no-split class; a child of a list whose class occurs at least twice among its siblings. The
/// outermost block around a parameter wins. Names in `parameters` are "<module path>.<name>".
std::vector<Unit> cut_units(const std::vector<ParameterInfo>& parameters, const std::vector<ModuleInfo>& modules,
                            const UnitHints& hints, int world);

}  // namespace deepspeed::plan
