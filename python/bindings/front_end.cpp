// Configs, schedules and the logger.
#include "deepspeed/detail/front_end.h"

#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "bindings/bind.h"

namespace deepspeed::bindings {

namespace py = pybind11;

void bind_front_end(py::module_& module) {
  module.def("read_config", &detail::read_config, py::arg("config"), "The config as JSON text, as it was given.");
  module.def("resolve_config", &detail::resolve_config, py::arg("config"), py::arg("data_parallel_size"),
             "(the config as JSON text, every effective value as JSON text) of a path, JSON text or base64.");
  module.def(
      "schedule_values",
      [](const std::string& type, const std::string& params, const std::vector<double>& group_lrs, int64_t iteration) {
        auto values = detail::schedule_values(type, params, group_lrs, iteration);
        return std::make_pair(std::move(values.lr), std::move(values.betas));
      },
      py::arg("type"), py::arg("params"), py::arg("group_lrs"), py::arg("iteration"));
  module.def(
      "optimizer_numbers",
      [](const std::string& type, const std::string& params) {
        py::dict numbers;
        for (const auto& [name, value] : detail::optimizer_numbers(type, params)) numbers[name.c_str()] = value;
        return numbers;
      },
      py::arg("type"), py::arg("params"));
  module.def("set_log_level", &detail::set_log_level, py::arg("level"));
  module.def(
      "set_log_sink",
      [](py::object sink) {
        if (sink.is_none()) return detail::set_log_sink({});
        // Messages may come from threads without the GIL and at interpreter exit: the function is never freed.
        auto* kept = new py::object(std::move(sink));
        detail::set_log_sink([kept](const std::string& level, const std::string& text) {
          if (Py_IsInitialized() == 0) return;
          const py::gil_scoped_acquire gil;
          (*kept)(level, text);
        });
      },
      py::arg("sink"));
}

}  // namespace deepspeed::bindings
