// A pretrained model's files. Reading waits for disks and other ranks: without the GIL.
#include "deepspeed/detail/pretrained_files.h"

#include <pybind11/stl.h>

#include "bindings/bind.h"

namespace deepspeed::bindings {

namespace py = pybind11;
using detail::PretrainedFiles;

void bind_pretrained_files(py::module_& module) {
  using release_gil = py::call_guard<py::gil_scoped_release>;
  py::class_<PretrainedFiles>(module, "PretrainedFiles")
      .def(py::init<const std::vector<std::string>&>(), py::arg("paths"), release_gil())
      .def_static("open", &PretrainedFiles::open, py::arg("folder"), release_gil())
      .def("keys", &PretrainedFiles::keys)
      .def(
          "match",
          [](const PretrainedFiles& self, const std::vector<std::vector<std::string>>& names,
             const std::string& base_prefix) {
            detail::PretrainedMatch found = self.match(names, base_prefix);
            return std::pair(std::move(found.keys), std::move(found.unexpected));
          },
          py::arg("names"), py::arg("base_prefix"))
      .def(
          "fill",
          [](PretrainedFiles& self, const std::vector<std::tuple<std::string, std::string, at::Tensor>>& targets) {
            std::vector<detail::PretrainedTarget> converted;
            for (const auto& [name, key, tensor] : targets) converted.push_back({name, key, tensor});
            const py::gil_scoped_release release;
            self.fill(converted);
          },
          py::arg("targets"))
      .def_property_readonly("bytes_read", &PretrainedFiles::bytes_read);
}

}  // namespace deepspeed::bindings
