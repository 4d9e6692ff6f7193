// Where the script is, for errors about ranks that wait for each other.
#include "deepspeed/detail/script_probe.h"

#include <pybind11/stl.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <exception>
#include <string>
#include <tuple>
#include <utility>

#include "bindings/bind.h"

namespace deepspeed::bindings {

namespace py = pybind11;

void bind_script_probe(py::module_& module) {
  module.def(
      "set_script_probe",
      [](c10::intrusive_ptr<c10d::ProcessGroup> world, py::object look) {
        // Called without the GIL, and let go at any time by another thread: the function is never freed.
        auto* kept = new py::object(std::move(look));
        const py::gil_scoped_release release;
        detail::set_script_probe({.world = std::move(world),
                                  .look =
                                      [kept] {
                                        const py::gil_scoped_acquire gil;
                                        try {
                                          const auto [call, root, line] =
                                              (*kept)().cast<std::tuple<std::string, int, std::string>>();
                                          return detail::ScriptPlace{.call = call, .root = root, .line = line};
                                        } catch (const std::exception&) {  // nobody could catch it on that thread
                                          return detail::ScriptPlace{};
                                        }
                                      },
                                  .may_look = [] { return PyGILState_Check() == 0; }});
      },
      py::arg("world"), py::arg("look"));
  module.def("stop_wait_watch", &detail::stop_wait_watch, py::call_guard<py::gil_scoped_release>());
}

}  // namespace deepspeed::bindings
