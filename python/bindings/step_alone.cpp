// Optimizer steps outside the engine.
#include "deepspeed/detail/step_alone.h"

#include <pybind11/stl.h>

#include "bindings/bind.h"

namespace deepspeed::bindings {

namespace py = pybind11;

void bind_step_alone(py::module_& module) {
  module.def("can_step_alone", &detail::can_step_alone, py::arg("parameter"), py::arg("gradient"), py::arg("states"));
  module.def("step_alone", &detail::step_alone, py::arg("type"), py::arg("parameter"), py::arg("gradient"),
             py::arg("states"), py::arg("values"), py::arg("step"), py::call_guard<py::gil_scoped_release>());
}

}  // namespace deepspeed::bindings
