// Weights of a checkpoint without an engine.
#include "deepspeed/detail/checkpoint_weights.h"

#include <pybind11/stl.h>

#include "bindings/bind.h"

namespace deepspeed::bindings {

namespace py = pybind11;

void bind_checkpoint_weights(py::module_& module) {
  module.def("read_weights", &detail::read_weights, py::arg("folder"), py::arg("tag"),
             py::call_guard<py::gil_scoped_release>());
}

}  // namespace deepspeed::bindings
