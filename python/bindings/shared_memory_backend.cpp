// The torch.distributed backend for CPU ranks of one host.
#include "deepspeed/detail/shared_memory_backend.h"

#include <pybind11/chrono.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "bindings/bind.h"

namespace deepspeed::bindings {

namespace py = pybind11;

void bind_shared_memory_backend(py::module_& module) {
  module.def("make_shared_memory_backend", &detail::make_shared_memory_backend, py::arg("store"), py::arg("rank"),
             py::arg("size"), py::arg("timeout"), py::call_guard<py::gil_scoped_release>());
  module.def("uses_shared_memory", &detail::uses_shared_memory);
}

}  // namespace deepspeed::bindings
