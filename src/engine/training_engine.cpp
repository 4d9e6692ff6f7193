// The public face of the engine: calls go to Impl, whose members stand in set_up.cpp, events.cpp, parameter_access.cpp
// and checkpoint_io.cpp.
#include "deepspeed/detail/training_engine.h"

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <utility>

#include "comm/factory.h"
#include "config/batch.h"
#include "config/effective.h"
#include "core/log.h"
#include "core/trace.h"
#include "deepspeed/error.h"
#include "engine/engine_options.h"
#include "engine/group_values.h"
#include "engine/training_engine_impl.h"
#include "plan/memory.h"

namespace deepspeed::detail {

TrainingEngine::TrainingEngine(ModelDescription model, const std::string& config,
                               c10::intrusive_ptr<c10d::ProcessGroup> data_group,
                               c10::intrusive_ptr<c10d::ProcessGroup> gather_group) {
  core::set_log_rank(data_group ? data_group->getRank() : -1);
  impl_ = std::make_unique<Impl>(std::move(model), config, [&](c10::Device device) {
    return Transport{.data = comm::make_communicator(std::move(data_group), device),
                     .gathers = comm::make_communicator(std::move(gather_group), device),
                     .clock = core::steady_now_ns};
  });
}

TrainingEngine::TrainingEngine(ModelDescription model, const std::string& config, Transport& transport)
    : impl_(std::make_unique<Impl>(std::move(model), config, [&](c10::Device) { return std::move(transport); })) {}

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
  step_trace->finish();
  views->take_back();
  binder.reset();
  external_step = {};
  owner_step.reset();
  boundary_step.reset();
  views.reset();
  reducer.reset();
  store->release_parameters();
  store.reset();
  gather_agreement.reset();
  gathers.reset();
  mesh.reset();
  claim.release();
}

void TrainingEngine::before_forward(int module) { impl_->before_forward(module); }
void TrainingEngine::after_forward() { impl_->step_trace->end_forward(); }
bool TrainingEngine::wants_forward_end() const { return impl_->step_trace->is_wanted(); }
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

bool needs_gather_group(const std::string& config) {
  return engine::releases_parameters(config::load_config_argument(config));
}

std::string check_config(const std::string& config, int data_parallel_size) {
  config::Config checked = config::load_config_argument(config);
  config::resolve_batch(checked, data_parallel_size);
  return config::effective_config(checked);
}

}  // namespace deepspeed::detail
