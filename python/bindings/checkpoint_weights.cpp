// Weights of a checkpoint without an engine.
#include "deepspeed/detail/checkpoint_weights.h"

#include <pybind11/stl.h>

#include "bindings/bind.h"

namespace deepspeed::bindings {

namespace py = pybind11;

void bind_checkpoint_weights(py::module_& module) {
  py::class_<detail::CheckpointWeight>(module, "CheckpointWeight")
      .def_readonly("name", &detail::CheckpointWeight::name)
      .def_readonly("shape", &detail::CheckpointWeight::shape)
      .def_readonly("dtype", &detail::CheckpointWeight::type)
      .def_readonly("owner", &detail::CheckpointWeight::owner)
      .def_readonly("is_buffer", &detail::CheckpointWeight::is_buffer)
      .def_readonly("is_trained", &detail::CheckpointWeight::is_trained);
  py::class_<detail::CheckpointWeights>(module, "CheckpointWeights")
      .def(py::init<const std::string&, const std::optional<std::string>&>(), py::arg("folder"), py::arg("tag"),
           py::call_guard<py::gil_scoped_release>())
      .def("list", &detail::CheckpointWeights::list)
      .def("read", &detail::CheckpointWeights::read, py::arg("name"), py::call_guard<py::gil_scoped_release>());
  module.def("read_weights", &detail::read_weights, py::arg("folder"), py::arg("tag"),
             py::call_guard<py::gil_scoped_release>());
}

}  // namespace deepspeed::bindings
