// Sharded parameters by tensor. All of it waits for other ranks: without the GIL.
#include "deepspeed/detail/sharded_parameters.h"

#include <pybind11/stl.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include "bindings/bind.h"

namespace deepspeed::bindings {

namespace py = pybind11;

void bind_sharded_parameters(py::module_& module) {
  using release_gil = py::call_guard<py::gil_scoped_release>;
  module.def("is_sharded", &detail::is_sharded, py::arg("tensor"));
  module.def("is_any_sharded", &detail::is_any_sharded);
  module.def("parameter_of", &detail::parameter_of, py::arg("tensor"));
  module.def("hold", &detail::hold, py::arg("parameters"), release_gil());
  module.def("let_go", &detail::let_go, py::arg("parameters"), py::arg("root"), release_gil());
  py::class_<detail::ShardedInit>(module, "ShardedInit")
      .def(py::init([](c10::intrusive_ptr<c10d::ProcessGroup> data, c10::intrusive_ptr<c10d::ProcessGroup> gathers,
                       const std::string& dtype, const std::string& device) {
             const py::gil_scoped_release release;
             return std::make_unique<detail::ShardedInit>(std::move(data), std::move(gathers), dtype,
                                                          c10::Device(device));
           }),
           py::arg("data_group"), py::arg("gather_group"), py::arg("dtype"), py::arg("device"))
      .def("add", &detail::ShardedInit::add, py::arg("parameters"), release_gil())
      .def("add_without_values", &detail::ShardedInit::add_without_values, py::arg("parameters"), release_gil())
      .def("sweep", &detail::ShardedInit::sweep, release_gil());
}

}  // namespace deepspeed::bindings
