// The step's state machine: it wires the parts and owns no algorithm.
#include "deepspeed/detail/training_engine.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/graph_task.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "comm/factory.h"
#include "config/batch.h"
#include "config/effective.h"
#include "core/log.h"
#include "deepspeed/error.h"
#include "engine/engine_options.h"
#include "engine/group_values.h"
#include "engine/training_engine_impl.h"
#include "plan/leaf_modules.h"
#include "plan/memory.h"
#include "plan/unit_cut.h"
#include "tensor/dtype.h"
#include "zero/reduce_policy.h"
#include "zero/relayout.h"

namespace deepspeed::detail {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool releases_parameters(const config::Config& config) {
  return engine::zero_options(config).lifetimes.parameters == plan::Lifetime::kBoundForUse;
}

/// The path of the module that a parameter is registered in.
std::string owner_of(const std::string& parameter) {
  const size_t dot = parameter.rfind('.');
  return dot == std::string::npos ? "" : parameter.substr(0, dot);
}

}  // namespace

// --- set-up --------------------------------------------------------------------------------------------------------

TrainingEngine::Impl::Impl(ModelDescription description, const std::string& config_argument,
                           c10::intrusive_ptr<c10d::ProcessGroup> data_group,
                           c10::intrusive_ptr<c10d::ProcessGroup> gather_group)
    : model(std::move(description)), config(config::load_config_argument(config_argument)) {
  const int ranks = data_group ? data_group->getSize() : 1;
  core::set_log_rank(data_group ? data_group->getRank() : -1);
  if (config.log_level) core::set_log_level(core::parse_log_level(*config.log_level));
  config::resolve_batch(config, ranks);
  if (!data_group || data_group->getRank() == 0) {
    for (const std::string& warning : config.warnings) core::log_warning(warning);
  }
  const c10::Device device =
      model.parameters.empty() ? c10::Device(at::kCPU) : model.parameters.front().tensor.device();
  mesh = std::make_unique<comm::Mesh>(comm::make_communicator(std::move(data_group), device));
  DS_CHECK(!releases_parameters(config) || ranks == 1 || gather_group, ValueError,
           "[engine] ZeRO stage 3 gathers parameters over a process group of its own: give gather_group too");
  gathers = comm::make_communicator(std::move(gather_group), device);
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
          .trainable = parameter.tensor.requires_grad() && parameter.group >= 0 && has_optimizer(),
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

// --- events --------------------------------------------------------------------------------------------------------

void TrainingEngine::Impl::check_alive() const {
  DS_CHECK(!destroyed, ValueError, "[engine] this engine was destroyed: call initialize() again");
}

void TrainingEngine::Impl::check_optimizer(const char* what) const {
  DS_CHECK(has_optimizer(), ConfigError, "[engine] ", what,
           " without an optimizer: pass one to initialize(), or add an \"optimizer\" section to the config");
}

// [Note: Freezing] What is unfrozen needs room for its gradient at once. What is frozen rests: the step leaves it out,
// and only when a step went by without it does it give its room and its moments back. So a model that is frozen while
// another one trains through it (a GAN's discriminator) comes back as it was, and nothing is laid out again.
void TrainingEngine::Impl::follow_requires_grad() {
  bool changed = false;
  std::vector<bool> resting(parameters.size(), false);
  for (size_t index = 0; index < parameters.size(); ++index) {
    const bool has_room = lane_of(store->location(static_cast<int>(index))).plan.trainable;
    const bool trains = info_of(index).trainable;
    resting[index] = has_room && !trains;
    changed = changed || (trains && !has_room) || (resting[index] && missed_step[index]);
  }
  if (changed) {
    core::log_info("[engine] parameters were frozen or unfrozen: laying out again");
    build_layout(false);
    resting.assign(parameters.size(), false);
  }
  boundary_step->set_resting(std::move(resting));
}

void TrainingEngine::Impl::before_forward(int module) {
  check_alive();
  if (module == 0 && binder) binder->begin_pass(at::GradMode::is_enabled(), progress.global_steps);
  if (!at::GradMode::is_enabled()) return;
  if (module == 0) {
    drop_broken_backward();
    views->take_back();
  }
  if (at_step_start || (module == 0 && !window_has_gradients)) {
    at_step_start = false;
    check_loose_parameters();
    store->reattach_parameters();
    if (binder) binder->reattach();
    follow_requires_grad();
    reducer->refresh_hooks();
  }
  for (const int unit : units_of_module[module]) reducer->note_use(unit);
}

zero::Reducer::BackwardSettings TrainingEngine::Impl::settings(bool scale_wrt_gas) {
  const auto policy = zero::reduce_policy(store->options().lifetimes,
                                          is_boundary() && config.managed_gradient_accumulation, no_sync_depth > 0);
  const double scale = scale_wrt_gas ? 1.0 / static_cast<double>(*config.gradient_accumulation_steps) : 1.0;
  has_local_gradients = policy == zero::ReducePolicy::kKeepLocal;
  window_has_gradients = true;
  return {.policy = policy, .scale = scale, .step = progress.global_steps};
}

void TrainingEngine::Impl::begin_backward(bool scale_wrt_gas) {
  check_alive();
  check_optimizer("backward");
  drop_broken_backward();
  views->prepare_backward(*reducer);
  reducer->begin_backward(settings(scale_wrt_gas));
}

void TrainingEngine::Impl::end_backward() {
  check_alive();
  const at::NoGradGuard no_grad;
  reducer->backward_done();
  views->publish(!has_local_gradients);
}

void TrainingEngine::Impl::abandon_backward() {
  has_local_gradients = false;
  window_has_gradients = false;
  reducer->abandon_backward();
}

// A plain loss.backward() that threw did so past us: autograd drops its callbacks then.
void TrainingEngine::Impl::drop_broken_backward() {
  if (!reducer->in_backward() || torch::autograd::get_current_graph_task_id() != -1) return;
  core::log_warning("[engine] a backward ended with an exception: the gradients since the last step are dropped");
  abandon_backward();
}

bool TrainingEngine::Impl::is_boundary() const {
  if (boundary_override) return *boundary_override;
  if (!config.managed_gradient_accumulation) return true;
  return (progress.micro_steps + 1) % *config.gradient_accumulation_steps == 0;
}

std::vector<optim::Hyperparameters> TrainingEngine::Impl::present_groups(const std::vector<GroupValues>& groups) const {
  if (groups.empty()) return hyperparameters;
  DS_CHECK(groups.size() == hyperparameters.size(), ValueError, "[engine] step with ", groups.size(),
           " optimizer groups, ", hyperparameters.size(), " at initialize: groups cannot be added later");
  std::vector<optim::Hyperparameters> result;
  for (size_t group = 0; group < groups.size(); ++group)
    result.push_back(engine::to_hyperparameters(groups[group], hyperparameters[group]));
  return result;
}

zero::StepResult TrainingEngine::Impl::run_boundary(const std::vector<GroupValues>& groups) {
  if (has_local_gradients) {  // no backward of this window was a reducing one
    reducer->begin_backward({.policy = zero::ReducePolicy::kNow, .scale = 1.0, .step = progress.global_steps});
    reducer->backward_done();
    has_local_gradients = false;
  }
  settle_parameters();
  reducer->fill_missing();
  views->adopt_replaced();
  views->take_back();
  zero::StepResult result = boundary_step->inspect({.loss_scale = scaler.scale(),
                                                    .gradient_clipping = config.gradient_clipping,
                                                    .check_overflow = engine::checks_overflow(config),
                                                    .step = progress.global_steps});
  if (result.overflow) return result;
  if (is_external()) {
    step_external(result);
  } else {
    boundary_step->apply(*optimizer, present_groups(groups), result, progress.global_steps);
  }
  missed_step = boundary_step->resting();
  if (binder) binder->invalidate();
  return result;
}

void TrainingEngine::Impl::step_external(const zero::StepResult& inspected) {
  DS_CHECK(external_step, ValueError,
           "[engine] the external optimizer has no step function: call set_external_step() first");
  std::vector<OwnedParameter> owned;
  for (const zero::OwnedParameter& each :
       owner_step->begin(inspected.scale, boundary_step->resting(), progress.global_steps)) {
    owned.push_back({parameters[each.parameter].name, each.master, each.gradient});
  }
  external_step(owned);
  owner_step->finish(progress.global_steps);
}

void TrainingEngine::Impl::advance_schedule() {
  if (!schedule) return;
  ++schedule_iteration;
  follow_schedule();
}

void TrainingEngine::Impl::follow_schedule() {
  const auto rates = schedule->lr(schedule_iteration);
  const auto betas = schedule->betas(schedule_iteration);
  for (size_t group = 0; group < hyperparameters.size(); ++group) {
    hyperparameters[group].lr = rates[group];
    if (!betas.empty()) hyperparameters[group].betas = betas[group];
  }
}

StepOutcome TrainingEngine::Impl::step(const std::vector<GroupValues>& groups) {
  check_alive();
  check_optimizer("step");
  DS_CHECK(no_sync_depth == 0, ValueError,
           "[engine] step() inside no_sync(): leave the context first, the step needs the reduced gradients");
  const at::NoGradGuard no_grad;
  drop_broken_backward();
  StepOutcome outcome{.at_boundary = is_boundary(), .applied = false};
  ++progress.micro_steps;
  at_step_start = at_step_start || outcome.at_boundary;
  micro_batch_counted = !outcome.at_boundary;
  if (!outcome.at_boundary) return outcome;
  const double scale_before = scaler.scale();
  const zero::StepResult result = run_boundary(groups);
  reducer->start_window();
  window_has_gradients = false;
  last_norm = result.gradient_norm;
  last_overflow = result.overflow;
  ++progress.global_steps;
  progress.global_samples += *config.train_batch_size;
  if (result.overflow) {
    ++progress.skipped_steps;
    scaler.update(true);
    core::log_info("[engine] step ", progress.global_steps, " skipped on all ranks: inf or nan in the gradient of ",
                   result.first_nonfinite, "; loss scale ", scale_before, " -> ", scaler.scale());
    if (!scaler.is_dynamic() && data().rank() == 0) {
      core::log_warning("[engine] step ", progress.global_steps, " skipped: inf or nan in the gradient of ",
                        result.first_nonfinite);
    }
    return outcome;
  }
  scaler.update(false);
  advance_schedule();
  outcome.applied = true;
  return outcome;
}

// --- the public face -----------------------------------------------------------------------------------------------

TrainingEngine::TrainingEngine(ModelDescription model, const std::string& config,
                               c10::intrusive_ptr<c10d::ProcessGroup> data_group,
                               c10::intrusive_ptr<c10d::ProcessGroup> gather_group)
    : impl_(std::make_unique<Impl>(std::move(model), config, std::move(data_group), std::move(gather_group))) {}

TrainingEngine::~TrainingEngine() {
  if (!impl_->destroyed) impl_->let_everything_go();  // without the other ranks: sharded parameters stay sharded
}

void TrainingEngine::hand_over() { impl_->claim.release(); }

void TrainingEngine::abandon() {
  if (!impl_->destroyed) impl_->let_everything_go();
}

void TrainingEngine::destroy() {
  if (impl_->destroyed) return;
  if (impl_->binder) impl_->binder->restore();
  impl_->let_everything_go();
}

void TrainingEngine::Impl::let_everything_go() {
  destroyed = true;
  views->take_back();
  binder.reset();
  external_step = {};
  owner_step.reset();
  boundary_step.reset();
  views.reset();
  reducer.reset();
  store->release_parameters();
  store.reset();
  gathers.reset();
  mesh.reset();
  claim.release();
}

void TrainingEngine::before_forward(int module) { impl_->before_forward(module); }
bool TrainingEngine::wants_module_events() const { return impl_->reducer && !impl_->reducer->is_order_agreed(); }
double TrainingEngine::loss_scale() const { return impl_->scaler.scale(); }

void TrainingEngine::backward(const at::Tensor& loss, bool retain_graph, bool scale_wrt_gas) {
  DS_CHECK(loss.numel() == 1, ValueError, "[engine] backward: the loss has shape ", loss.sizes(),
           ", expected a scalar. Reduce it with mean() or sum().");
  DS_CHECK(loss.requires_grad(), ValueError,
           "[engine] backward: the loss does not require a gradient. Was it computed under no_grad(), or are all "
           "parameters frozen?");
  impl_->begin_backward(scale_wrt_gas);
  const at::Tensor seed = at::full_like(loss.detach(), impl_->scaler.scale());
  try {
    loss.backward(seed, retain_graph);
  } catch (...) {
    impl_->abandon_backward();
    throw;
  }
  impl_->end_backward();
}

void TrainingEngine::begin_backward(bool scale_wrt_gas) { impl_->begin_backward(scale_wrt_gas); }
void TrainingEngine::end_backward() { impl_->end_backward(); }
StepOutcome TrainingEngine::step(const std::vector<GroupValues>& groups) { return impl_->step(groups); }
void TrainingEngine::set_external_step(std::function<void(const std::vector<OwnedParameter>&)> step) {
  impl_->external_step = std::move(step);
}

void TrainingEngine::zero_grad() {
  impl_->check_alive();
  if (!impl_->window_has_gradients || impl_->micro_batch_counted) return;
  impl_->views->take_back();
  impl_->abandon_backward();
}

bool TrainingEngine::is_gradient_accumulation_boundary() const { return impl_->is_boundary(); }
void TrainingEngine::set_gradient_accumulation_boundary(bool is_boundary) { impl_->boundary_override = is_boundary; }
void TrainingEngine::enter_no_sync() { ++impl_->no_sync_depth; }
void TrainingEngine::exit_no_sync() {
  DS_CHECK(impl_->no_sync_depth > 0, ValueError, "[engine] exit_no_sync without enter_no_sync");
  --impl_->no_sync_depth;
}

const Progress& TrainingEngine::progress() const { return impl_->progress; }
void TrainingEngine::set_progress(const Progress& progress) { impl_->progress = progress; }
std::optional<double> TrainingEngine::global_grad_norm() const { return impl_->last_norm; }
bool TrainingEngine::has_overflowed() const { return impl_->last_overflow; }
int TrainingEngine::rank() const { return impl_->destroyed ? 0 : impl_->data().rank(); }
int TrainingEngine::world_size() const { return impl_->destroyed ? 1 : impl_->data().size(); }
int64_t TrainingEngine::train_batch_size() const { return *impl_->config.train_batch_size; }
int64_t TrainingEngine::train_micro_batch_size_per_gpu() const { return *impl_->config.train_micro_batch_size_per_gpu; }
int64_t TrainingEngine::gradient_accumulation_steps() const { return *impl_->config.gradient_accumulation_steps; }

void TrainingEngine::set_gradient_accumulation_steps(int64_t steps) {
  DS_CHECK(steps >= 1, ValueError, "[engine] gradient_accumulation_steps: got ", steps, ", expected at least 1");
  impl_->config.gradient_accumulation_steps = steps;
  impl_->config.train_batch_size = steps * *impl_->config.train_micro_batch_size_per_gpu * world_size();
}

std::vector<GroupValues> TrainingEngine::groups() const {
  std::vector<GroupValues> result;
  for (const optim::Hyperparameters& group : impl_->hyperparameters) result.push_back(engine::to_group_values(group));
  return result;
}

std::string TrainingEngine::effective_config() const { return config::effective_config(impl_->config); }

std::map<std::string, double> TrainingEngine::memory() const {
  impl_->check_alive();
  const zero::HeldBytes held = impl_->store->held_bytes();
  const int64_t scratch =
      impl_->boundary_step->scratch_bytes() + (impl_->owner_step ? impl_->owner_step->scratch_bytes() : 0);
  std::vector<plan::Unit> units;
  for (const zero::UnitBuffers& unit : impl_->store->units()) {
    plan::Unit& copy = units.emplace_back();
    for (const zero::LaneBuffers& lane : unit.lanes) copy.lanes.push_back(lane.plan);
  }
  const zero::Options& options = impl_->store->options();
  plan::ElementBytes bytes;
  bytes.compute = core::dtype_bytes(options.compute_dtype.value_or(core::Dtype::kFloat32));
  bytes.accumulation = core::dtype_bytes(options.accumulation_dtype.value_or(core::Dtype::kFloat32));
  bytes.master = bytes.compute == 4 ? 0 : 4;
  bytes.optimizer_states = 4 * static_cast<int64_t>(impl_->store->state_specs().size());
  std::vector<bool> persistent;
  for (const zero::UnitBuffers& unit : impl_->store->units()) persistent.push_back(!unit.released);
  const plan::MemoryEstimate estimate = plan::estimate_memory(
      plan::measure(units, persistent), bytes, options.lifetimes, world_size(), options.overlap_comm ? 2 : 1);
  const double bound = impl_->binder ? static_cast<double>(impl_->binder->slot_bytes()) : 0.0;
  return {{"parameters", held.parameters},
          {"gradients", held.gradients},
          {"states", held.states},
          {"slots", held.slots + bound},
          {"scratch", scratch},
          {"total", held.total() + bound + scratch},
          {"formula_parameters", estimate.parameters},
          {"formula_gradients", estimate.gradients},
          {"formula_states", estimate.states},
          {"formula_slots", estimate.slots},
          {"formula_total", estimate.total()}};
}

std::map<std::string, int64_t> TrainingEngine::collectives() const {
  impl_->check_alive();
  const zero::Binder::Statistics bound = impl_->binder ? impl_->binder->statistics() : zero::Binder::Statistics{};
  return {{"gathers", bound.gathers + impl_->boundary_step->num_gathers()},
          {"waited_for", bound.waited_for},
          {"reductions", impl_->reducer->num_reductions()}};
}

std::vector<std::string> TrainingEngine::unit_names() const {
  impl_->check_alive();
  std::vector<std::string> names;
  for (const zero::UnitBuffers& unit : impl_->store->units()) names.push_back(unit.name);
  return names;
}

const std::vector<std::string>& TrainingEngine::leaf_modules() const { return impl_->model.leaf_modules; }

void TrainingEngine::barrier() {
  impl_->check_alive();
  impl_->data().barrier({.step = impl_->progress.global_steps});
}

bool needs_gather_group(const std::string& config) { return releases_parameters(config::load_config_argument(config)); }

std::string check_config(const std::string& config, int data_parallel_size) {
  config::Config checked = config::load_config_argument(config);
  config::resolve_batch(checked, data_parallel_size);
  return config::effective_config(checked);
}

}  // namespace deepspeed::detail
