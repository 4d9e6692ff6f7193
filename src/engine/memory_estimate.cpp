// Estimates out of the plan's arithmetic, for models that are not in training yet.
#include "deepspeed/detail/memory_estimate.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <vector>

#include "plan/memory.h"
#include "plan/unit_cut.h"

namespace deepspeed::detail {

NodeMemory estimate_node_memory(const NodeMemoryQuestion& question) {
  const plan::NodeMemory found = plan::estimate_node({.numel = question.numel,
                                                      .largest_unit_numel = question.largest_unit_numel,
                                                      .ranks_per_node = question.ranks_per_node,
                                                      .nodes = question.nodes,
                                                      .offloads_optimizer = question.offloads_optimizer,
                                                      .offloads_parameters = question.offloads_parameters,
                                                      .builds_sharded = question.builds_sharded,
                                                      .host_factor = question.host_factor},
                                                     plan::stage_lifetimes(question.stage));
  return {static_cast<int64_t>(found.host), static_cast<int64_t>(found.device), static_cast<int64_t>(found.slots)};
}

ModelNumels count_elements(const ModelDescription& model) {
  std::vector<plan::ParameterInfo> parameters;
  for (const ParameterDescription& parameter : model.parameters)
    parameters.push_back({.name = parameter.name, .numel = parameter.tensor.numel()});
  std::vector<plan::ModuleInfo> modules;
  for (const ModuleDescription& module : model.modules)
    modules.push_back({module.path, module.class_name, module.is_list, module.class_path});
  ModelNumels count;
  for (const plan::Unit& unit : plan::cut_units(parameters, modules, {model.leaf_modules, model.no_split_classes}, 1)) {
    int64_t numel = 0;
    for (const plan::Lane& lane : unit.lanes) {
      for (const plan::Placement& placement : lane.placements) numel += placement.range.numel();
    }
    count.all += numel;
    count.largest_unit = std::max(count.largest_unit, numel);
  }
  return count;
}

}  // namespace deepspeed::detail
