// What initialize does: adopts parameters, chooses the optimizer, lays the lanes out and wires the parts over them.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/engine.h>

#include <algorithm>
#include <set>
#include <utility>

#include "config/batch.h"
#include "core/log.h"
#include "deepspeed/error.h"
#include "engine/engine_options.h"
#include "engine/group_values.h"
#include "engine/training_engine_impl.h"
#include "plan/leaf_modules.h"
#include "plan/unit_cut.h"
#include "tensor/dtype.h"
#include "zero/relayout.h"

namespace deepspeed::detail {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

/// The path of the module that a parameter is registered in.
std::string owner_of(const std::string& parameter) {
  const size_t dot = parameter.rfind('.');
  return dot == std::string::npos ? "" : parameter.substr(0, dot);
}

}  // namespace

TrainingEngine::Impl::Impl(ModelDescription description, const std::string& config_argument,
                           const MakeTransport& make_transport)
    : model(std::move(description)), config(config::load_config_argument(config_argument)) {
  if (config.log_level) core::set_log_level(core::parse_log_level(*config.log_level));
  Transport transport =
      make_transport(model.parameters.empty() ? c10::Device(at::kCPU) : model.parameters.front().tensor.device());
  const int rank = transport.data->rank();
  const int ranks = transport.data->size();
  config::resolve_batch(config, ranks);
  if (rank == 0) {
    for (const std::string& warning : config.warnings) core::log_warning(warning);
  }
  DS_CHECK(!engine::releases_parameters(config) || transport.gathers->size() == ranks, ValueError,
           "[engine] ZeRO stage 3 gathers parameters over a process group of its own: give gather_group too");
  step_trace = std::make_unique<engine::StepTrace>(config, rank, std::move(transport.clock));
  mesh = std::make_unique<comm::Mesh>(step_trace->watch(std::move(transport.data), "communication"));
  gathers = step_trace->watch(std::move(transport.gathers), "communication: parameter gathers");
  gather_agreement = std::make_unique<zero::GatherAgreement>(*gathers, data());
  scaler = engine::make_loss_scaler(config);
  declare_leaves();
  adopt_parameters();
  choose_optimizer();
  build_layout(true);
  broadcast_buffers();
}

std::vector<plan::ModuleInfo> TrainingEngine::Impl::module_infos() const {
  std::vector<plan::ModuleInfo> modules;
  for (const ModuleDescription& module : model.modules)
    modules.push_back({module.path, module.class_name, module.is_list, module.class_path});
  return modules;
}

void TrainingEngine::Impl::declare_leaves() {
  const config::LeafModuleConfig& given = config.zero_optimization.leaf_module;
  const plan::FoundLeaves found =
      plan::find_leaf_modules(module_infos(), {given.classes, given.names, given.name_suffixes});
  for (const std::string& path : found.paths) {
    if (std::count(model.leaf_modules.begin(), model.leaf_modules.end(), path) == 0) model.leaf_modules.push_back(path);
  }
  const std::vector<std::string> usual = config::LeafModuleConfig{}.classes;
  for (const std::string& entry : found.unmatched) {
    if (std::count(usual.begin(), usual.end(), entry) != 0) continue;
    core::log_warning("[engine] zero_optimization.leaf_module: no module of the model matches \"", entry,
                      "\". classes are class names or their paths, names whole paths of named_modules(), "
                      "name_suffixes their last parts.");
  }
}

void TrainingEngine::Impl::adopt_parameters() {
  for (ParameterDescription& parameter : model.parameters) {
    if (!tensor::lane_dtype(parameter.tensor.scalar_type())) {
      loose_parameters.push_back(parameter);
      continue;
    }
    DS_CHECK(!parameter_index.contains(parameter.name), ValueError, "[engine] two parameters are called ",
             parameter.name);
    if (parameter.tensor.requires_grad() && parameter.group < 0 && !model.groups.empty()) {
      core::log_warning("[engine] parameter ", parameter.name,
                        " requires a gradient but is in no optimizer group: it is treated as frozen");
    }
    parameter_index[parameter.name] = parameters.size();
    parameters.push_back({parameter.name, parameter.tensor, parameter.group});
  }
  check_loose_parameters();
  claim.claim(parameters);
}

void TrainingEngine::Impl::check_loose_parameters() const {
  const bool trains = config.optimizer || !model.optimizer_type.empty();
  for (const ParameterDescription& parameter : loose_parameters) {
    DS_CHECK(!(trains && parameter.group >= 0 && parameter.tensor.requires_grad()), NotSupported, "[engine] parameter ",
             parameter.name, " is ", c10::toString(parameter.tensor.scalar_type()),
             " and requires a gradient: trainable parameters are float32, bfloat16 or float16. Freeze it with "
             "requires_grad_(False), or keep it in one of those types (a complex one as view_as_real).");
  }
}

void TrainingEngine::Impl::choose_optimizer() {
  optimizer_type = lower(model.optimizer_type);
  optim::Hyperparameters base;
  if (optimizer_type.empty() && config.optimizer) {
    optimizer_type = lower(config.optimizer->type);
    base = optim::parse_hyperparameters(optimizer_type, config.optimizer->params);
  } else if (has_optimizer() && !is_external()) {
    base = optim::default_hyperparameters(optimizer_type);
  }
  for (const GroupValues& values : model.groups) hyperparameters.push_back(engine::to_hyperparameters(values, base));
  if (hyperparameters.empty()) hyperparameters.push_back(base);
  if (!has_optimizer() || is_external()) return;
  // One optimizer serves all groups: state that any of them needs is kept for all.
  optim::Hyperparameters united = hyperparameters.front();
  for (const optim::Hyperparameters& group : hyperparameters) {
    if (group.momentum != 0) united.momentum = group.momentum;
    united.amsgrad = united.amsgrad || group.amsgrad;
  }
  optimizer = optim::make_optimizer(optimizer_type, united);
  if (config.scheduler && model.optimizer_type.empty()) {
    std::vector<double> rates;
    for (const optim::Hyperparameters& group : hyperparameters) rates.push_back(group.lr);
    schedule = optim::make_schedule(config.scheduler->type, config.scheduler->params, rates);
    schedule_iteration = schedule->start_iteration;
    follow_schedule();
  }
}

plan::ParameterInfo TrainingEngine::Impl::info_of(size_t index) const {
  const tensor::NamedParameter& parameter = parameters[index];
  const zero::Options options = engine::zero_options(config);
  return {.name = parameter.name,
          .numel = parameter.tensor.numel(),
          .dtype = options.compute_dtype.value_or(tensor::to_dtype(parameter.tensor.scalar_type())),
          .trainable = trains(index),
          .group = parameter.group};
}

void TrainingEngine::Impl::build_layout(bool first) {
  std::vector<plan::ParameterInfo> infos;
  for (size_t index = 0; index < parameters.size(); ++index) infos.push_back(info_of(index));
  const auto units =
      plan::cut_units(infos, module_infos(), {model.leaf_modules, model.no_split_classes}, data().size());
  const auto specs = optimizer ? optimizer->state_specs() : std::vector<optim::StateSpec>{};
  auto new_store = std::make_unique<zero::LaneStore>(parameters, units, engine::zero_options(config), specs, data());
  if (!first) zero::relayout(*store, *new_store, data());
  std::vector<int64_t> steps =
      boundary_step ? boundary_step->parameter_steps() : std::vector<int64_t>(parameters.size(), 0);
  for (size_t index = 0; !first && index < steps.size(); ++index) {  // moments of what was frozen start afresh too
    if (!lane_of(store->location(static_cast<int>(index))).plan.trainable) steps[index] = 0;
  }
  binder.reset();
  reducer.reset();
  views.reset();
  boundary_step.reset();
  owner_step.reset();
  store = std::move(new_store);
  reducer = std::make_unique<zero::Reducer>(*store, data());
  views = std::make_unique<zero::GradientViews>(*store);
  boundary_step = std::make_unique<zero::BoundaryStep>(*store, data());
  boundary_step->parameter_steps() = std::move(steps);
  missed_step.assign(parameters.size(), false);
  if (store->has_released_units()) {
    binder = std::make_shared<zero::Binder>(*store, *gathers);
    binder->on_use([this](int unit) {
      if (!reducer->in_backward()) reducer->note_use(unit);
    });
    binder->start();
  }
  if (is_external()) owner_step = std::make_unique<zero::OwnerStep>(*store, data());
  reducer->on_unannounced_backward([this] {
    step_trace->begin_backward();
    views->prepare_backward(*reducer);
    torch::autograd::Engine::get_default_engine().queue_callback([this] { end_backward(); });
    return settings(true);
  });
  units_of_module.assign(model.modules.size(), {});
  for (size_t module = 0; module < model.modules.size(); ++module) {
    const std::string& path = model.modules[module].path;
    std::set<int> touched;
    for (size_t index = 0; index < parameters.size(); ++index) {
      const int unit = store->location(static_cast<int>(index)).unit;
      if (owner_of(parameters[index].name) == path || (!path.empty() && store->units()[unit].name == path))
        touched.insert(unit);
    }
    for (const auto& [alias, name] : model.aliases) {
      if (const auto tied = parameter_index.find(name); owner_of(alias) == path && tied != parameter_index.end())
        touched.insert(store->location(static_cast<int>(tied->second)).unit);
    }
    units_of_module[module].assign(touched.begin(), touched.end());
  }
}

void TrainingEngine::Impl::broadcast_buffers() {
  const at::NoGradGuard no_grad;
  std::vector<std::pair<std::string, at::Tensor>> others;
  for (const BufferDescription& buffer : model.buffers) others.emplace_back(buffer.name, buffer.tensor);
  for (const ParameterDescription& parameter : loose_parameters) others.emplace_back(parameter.name, parameter.tensor);
  for (auto& [name, tensor] : others) {
    if (!tensor.defined() || tensor.numel() == 0) continue;
    at::Tensor bytes = tensor.detach().contiguous().reshape({-1}).view(at::kByte);
    data().broadcast(bytes, 0, {.step = 0, .phase = comm::Phase::kSetup, .unit = -1, .name = name}).wait();
    tensor.detach().copy_(bytes.view(tensor.scalar_type()).view(tensor.sizes()));
  }
}

}  // namespace deepspeed::detail
