// Memory of a model that is not in training yet.
#include "deepspeed/detail/memory_estimate.h"

#include "bindings/bind.h"

namespace deepspeed::bindings {

namespace py = pybind11;

void bind_memory_estimate(py::module_& module) {
  module.def(
      "estimate_node_memory",
      [](int stage, int64_t numel, int64_t largest_unit_numel, int64_t ranks_per_node, int64_t nodes,
         bool offloads_optimizer, bool offloads_parameters, bool builds_sharded, double host_factor) {
        const detail::NodeMemory found =
            detail::estimate_node_memory({stage, numel, largest_unit_numel, ranks_per_node, nodes, offloads_optimizer,
                                          offloads_parameters, builds_sharded, host_factor});
        return py::make_tuple(found.host_bytes, found.device_bytes, found.slot_bytes);
      },
      py::kw_only(), py::arg("stage"), py::arg("numel"), py::arg("largest_unit_numel") = 0,
      py::arg("ranks_per_node") = 1, py::arg("nodes") = 1, py::arg("offloads_optimizer") = false,
      py::arg("offloads_parameters") = false, py::arg("builds_sharded") = false, py::arg("host_factor") = 1.0,
      "(bytes of host memory a node, bytes of device memory a rank, bytes of slots among those).");
  module.def(
      "count_elements",
      [](const detail::ModelDescription& model) {
        const detail::ModelNumels count = detail::count_elements(model);
        return py::make_tuple(count.all, count.largest_unit);
      },
      py::arg("model"), "(elements of the model, elements of its largest unit).");
}

}  // namespace deepspeed::bindings
