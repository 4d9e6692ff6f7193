// The training engine. Everything that may wait releases the GIL.
#include "deepspeed/detail/training_engine.h"

#include <pybind11/functional.h>
#include <pybind11/stl.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include "bindings/bind.h"

namespace deepspeed::bindings {
namespace {

namespace py = pybind11;
using detail::TrainingEngine;

std::vector<detail::BufferDescription> describe_buffers(const std::vector<std::pair<std::string, at::Tensor>>& named) {
  std::vector<detail::BufferDescription> buffers;
  for (const auto& [name, tensor] : named) buffers.push_back({name, tensor});
  return buffers;
}

detail::ModelDescription make_description(
    const std::vector<std::tuple<std::string, at::Tensor, int>>& parameters,
    const std::vector<std::pair<std::string, at::Tensor>>& buffers,
    const std::vector<std::tuple<std::string, std::string, bool, std::string>>& modules,
    std::map<std::string, std::string> aliases, std::vector<std::string> leaf_modules,
    std::vector<std::string> no_split_classes, std::string optimizer_type, std::vector<detail::GroupValues> groups) {
  detail::ModelDescription model;
  for (const auto& [name, tensor, group] : parameters) model.parameters.push_back({name, tensor, group});
  model.buffers = describe_buffers(buffers);
  for (const auto& [path, class_name, is_list, class_path] : modules)
    model.modules.push_back({path, class_name, is_list, class_path});
  model.aliases = std::move(aliases);
  model.leaf_modules = std::move(leaf_modules);
  model.no_split_classes = std::move(no_split_classes);
  model.optimizer_type = std::move(optimizer_type);
  model.groups = std::move(groups);
  return model;
}

std::optional<at::Tensor> defined(at::Tensor tensor) {
  if (!tensor.defined()) return std::nullopt;
  return tensor;
}

}  // namespace

void bind_training_engine(py::module_& module) {
  using release_gil = py::call_guard<py::gil_scoped_release>;

  py::class_<detail::ModelDescription>(module, "ModelDescription")
      .def(py::init(&make_description), py::kw_only(), py::arg("parameters"), py::arg("buffers"), py::arg("modules"),
           py::arg("aliases"), py::arg("leaf_modules"), py::arg("no_split_classes"), py::arg("optimizer_type"),
           py::arg("groups"));

  py::class_<detail::StepOutcome>(module, "StepOutcome")
      .def_readonly("at_boundary", &detail::StepOutcome::at_boundary)
      .def_readonly("applied", &detail::StepOutcome::applied)
      .def_readonly("report", &detail::StepOutcome::report);

  py::class_<detail::Progress>(module, "Progress")
      .def(py::init<>())
      .def_readwrite("micro_steps", &detail::Progress::micro_steps)
      .def_readwrite("global_steps", &detail::Progress::global_steps)
      .def_readwrite("global_samples", &detail::Progress::global_samples)
      .def_readwrite("skipped_steps", &detail::Progress::skipped_steps);

  py::class_<detail::RankState>(module, "RankState")
      .def(py::init<std::string, std::map<std::string, at::Tensor>>(), py::arg("json"), py::arg("tensors"))
      .def_readonly("json", &detail::RankState::json)
      .def_readonly("tensors", &detail::RankState::tensors);

  py::class_<detail::LoadedCheckpoint>(module, "LoadedCheckpoint")
      .def_readonly("tag", &detail::LoadedCheckpoint::tag)
      .def_readonly("path", &detail::LoadedCheckpoint::path)
      .def_readonly("client_state", &detail::LoadedCheckpoint::client_state)
      .def_readonly("tensors", &detail::LoadedCheckpoint::tensors)
      .def_readonly("owned_states", &detail::LoadedCheckpoint::owned_states)
      .def_readonly("world", &detail::LoadedCheckpoint::world)
      .def_readonly("rank_state", &detail::LoadedCheckpoint::rank_state);

  py::class_<detail::OwnedParameter>(module, "OwnedParameter")
      .def_readonly("name", &detail::OwnedParameter::name)
      .def_readonly("master", &detail::OwnedParameter::master)
      .def_readonly("gradient", &detail::OwnedParameter::gradient);

  py::class_<detail::OwnedState>(module, "OwnedState")
      .def(py::init<std::string, std::string, at::Tensor>(), py::arg("name"), py::arg("key"), py::arg("value"))
      .def_readonly("name", &detail::OwnedState::name)
      .def_readonly("key", &detail::OwnedState::key)
      .def_readonly("value", &detail::OwnedState::value);

  py::class_<TrainingEngine>(module, "TrainingEngine")
      .def(py::init([](detail::ModelDescription model, const std::string& config,
                       c10::intrusive_ptr<c10d::ProcessGroup> group, c10::intrusive_ptr<c10d::ProcessGroup> gathers) {
             const py::gil_scoped_release release;
             return std::make_unique<TrainingEngine>(std::move(model), config, std::move(group), std::move(gathers));
           }),
           py::arg("model"), py::arg("config"), py::arg("data_group"), py::arg("gather_group") = py::none())
      .def("before_forward", &TrainingEngine::before_forward, py::arg("module"), release_gil())
      .def("after_forward", &TrainingEngine::after_forward)
      .def("wants_forward_end", &TrainingEngine::wants_forward_end)
      .def("wants_module_events", &TrainingEngine::wants_module_events)
      .def("loss_scale", &TrainingEngine::loss_scale)
      .def("backward", &TrainingEngine::backward, py::arg("loss"), py::arg("retain_graph"), py::arg("scale_wrt_gas"),
           release_gil())
      .def("begin_backward", &TrainingEngine::begin_backward, py::arg("scale_wrt_gas"), release_gil())
      .def("end_backward", &TrainingEngine::end_backward, release_gil())
      .def("step", &TrainingEngine::step, py::arg("groups"), release_gil())
      .def("zero_grad", &TrainingEngine::zero_grad, release_gil())
      .def("set_external_step", &TrainingEngine::set_external_step, py::arg("step"))
      .def("is_gradient_accumulation_boundary", &TrainingEngine::is_gradient_accumulation_boundary)
      .def("set_gradient_accumulation_boundary", &TrainingEngine::set_gradient_accumulation_boundary,
           py::arg("is_boundary"))
      .def("enter_no_sync", &TrainingEngine::enter_no_sync)
      .def("exit_no_sync", &TrainingEngine::exit_no_sync)
      .def_property("progress", &TrainingEngine::progress, &TrainingEngine::set_progress)
      .def("global_grad_norm", &TrainingEngine::global_grad_norm)
      .def("has_overflowed", &TrainingEngine::has_overflowed)
      .def("rank", &TrainingEngine::rank)
      .def("world_size", &TrainingEngine::world_size)
      .def("train_batch_size", &TrainingEngine::train_batch_size)
      .def("train_micro_batch_size_per_gpu", &TrainingEngine::train_micro_batch_size_per_gpu)
      .def("gradient_accumulation_steps", &TrainingEngine::gradient_accumulation_steps)
      .def("set_gradient_accumulation_steps", &TrainingEngine::set_gradient_accumulation_steps, py::arg("steps"))
      .def("effective_config", &TrainingEngine::effective_config)
      .def("memory", &TrainingEngine::memory)
      .def("collectives", &TrainingEngine::collectives)
      .def("unit_names", &TrainingEngine::unit_names)
      .def("leaf_modules", &TrainingEngine::leaf_modules)
      .def(
          "full_fp32_parameter",
          [](TrainingEngine& self, const std::string& name) { return defined(self.full_fp32_parameter(name)); },
          py::arg("name"), release_gil())
      .def(
          "full_gradient",
          [](TrainingEngine& self, const std::string& name) { return defined(self.full_gradient(name)); },
          py::arg("name"), release_gil())
      .def(
          "full_optimizer_state",
          [](TrainingEngine& self, const std::string& name, const std::string& key) {
            return defined(self.full_optimizer_state(name, key));
          },
          py::arg("name"), py::arg("key"), release_gil())
      .def(
          "full_gradients",
          [](TrainingEngine& self, const std::vector<std::string>& names) {
            std::vector<std::optional<at::Tensor>> found;
            for (at::Tensor& gradient : self.full_gradients(names)) found.push_back(defined(std::move(gradient)));
            return found;
          },
          py::arg("names"), release_gil())
      .def("local_range", &TrainingEngine::local_range, py::arg("name"))
      .def(
          "local_fp32_parameter",
          [](TrainingEngine& self, const std::string& name) { return defined(self.local_fp32_parameter(name)); },
          py::arg("name"), release_gil())
      .def(
          "local_gradient",
          [](TrainingEngine& self, const std::string& name) { return defined(self.local_gradient(name)); },
          py::arg("name"), release_gil())
      .def(
          "local_optimizer_state",
          [](TrainingEngine& self, const std::string& name, const std::string& key) {
            return defined(self.local_optimizer_state(name, key));
          },
          py::arg("name"), py::arg("key"), release_gil())
      .def("set_local_fp32_parameter", &TrainingEngine::set_local_fp32_parameter, py::arg("name"), py::arg("value"),
           release_gil())
      .def("set_local_optimizer_state", &TrainingEngine::set_local_optimizer_state, py::arg("name"), py::arg("key"),
           py::arg("value"), release_gil())
      .def("set_local_gradient", &TrainingEngine::set_local_gradient, py::arg("name"), py::arg("value"), release_gil())
      .def("set_full_fp32_parameter", &TrainingEngine::set_full_fp32_parameter, py::arg("name"), py::arg("value"),
           release_gil())
      .def("set_full_optimizer_state", &TrainingEngine::set_full_optimizer_state, py::arg("name"), py::arg("key"),
           py::arg("value"), release_gil())
      .def("set_full_gradient", &TrainingEngine::set_full_gradient, py::arg("name"), py::arg("value"), release_gil())
      .def("refresh_masters", &TrainingEngine::refresh_masters, release_gil())
      .def("optimizer_state_names", &TrainingEngine::optimizer_state_names)
      .def(
          "set_buffers",
          [](TrainingEngine& self, const std::vector<std::pair<std::string, at::Tensor>>& buffers) {
            self.set_buffers(describe_buffers(buffers));
          },
          py::arg("buffers"))
      .def("save_checkpoint", &TrainingEngine::save_checkpoint, py::arg("folder"), py::arg("tag"),
           py::arg("client_state"), py::arg("tensors"), py::arg("save_latest"), py::arg("exclude_frozen"),
           py::arg("owned_states"), py::arg("rank_state") = detail::RankState{}, release_gil())
      .def(
          "load_checkpoint",
          [](TrainingEngine& self, const std::string& folder, std::optional<std::string> tag, bool strict,
             bool module_only, bool optimizer_states) {
            return self.load_checkpoint(folder, {std::move(tag), strict, module_only, optimizer_states});
          },
          py::arg("folder"), py::arg("tag"), py::arg("strict"), py::arg("module_only"), py::arg("optimizer_states"),
          release_gil())
      .def("barrier", &TrainingEngine::barrier, release_gil())
      .def("hand_over", &TrainingEngine::hand_over)
      .def("abandon", &TrainingEngine::abandon, release_gil())
      .def("destroy", &TrainingEngine::destroy, release_gil());
}

}  // namespace deepspeed::bindings
