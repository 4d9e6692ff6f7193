// The step's state machine: what a forward, a backward and a step mean to the parts. It owns no algorithm.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/graph_task.h>

#include <utility>

#include "core/log.h"
#include "deepspeed/error.h"
#include "engine/engine_options.h"
#include "engine/group_values.h"
#include "engine/training_engine_impl.h"
#include "zero/reduce_policy.h"

namespace deepspeed::detail {

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
    resting[index] = has_room && !trains(index);
    changed = changed || (trains(index) && !has_room) || (resting[index] && missed_step[index]);
  }
  if (changed) {
    core::log_info("[engine] parameters were frozen or unfrozen: laying out again");
    build_layout(false);
    resting.assign(parameters.size(), false);
  }
  boundary_step->set_resting(std::move(resting));
}

/// Between the backwards of one step: what rested and trains again takes part in the step; what has no room for a
/// gradient gets it at the next one.
void TrainingEngine::Impl::wake_unfrozen() {
  std::vector<bool> resting = boundary_step->resting();
  for (size_t index = 0; index < parameters.size(); ++index) {
    if (!trains(index)) continue;
    if (index < resting.size()) resting[index] = false;
    if (lane_of(store->location(static_cast<int>(index))).plan.trainable || warned_of_late_unfreezing) continue;
    core::log_warning("[engine] parameter ", parameters[index].name,
                      " was unfrozen between two backwards of one step: it trains from the next step on");
    warned_of_late_unfreezing = true;
  }
  boundary_step->set_resting(std::move(resting));
}

void TrainingEngine::Impl::before_forward(int module) {
  check_alive();
  if (module == 0 && binder) binder->begin_pass(at::GradMode::is_enabled(), progress.global_steps);
  if (!at::GradMode::is_enabled()) return;
  if (module == 0) {
    step_trace->begin_forward(progress.global_steps + 1);
    drop_broken_backward();
    views->take_back();
  }
  if (at_step_start || (module == 0 && !window_has_gradients)) {
    at_step_start = warned_of_late_unfreezing = false;
    check_loose_parameters();
    reattach_parameters();
    follow_requires_grad();
    reducer->refresh_hooks();
  } else if (module == 0) {
    wake_unfrozen();
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
  step_trace->begin_backward();
  views->prepare_backward(*reducer);
  reducer->begin_backward(settings(scale_wrt_gas));
}

void TrainingEngine::Impl::end_backward() {
  check_alive();
  const at::NoGradGuard no_grad;
  step_trace->end_autograd();
  reducer->backward_done();
  views->publish(*reducer, !has_local_gradients);
  step_trace->end_backward();
}

void TrainingEngine::Impl::abandon_backward() {
  step_trace->drop_backward();
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

zero::StepResult TrainingEngine::Impl::inspect_gradients() {
  const core::TraceScope scope(step_trace->tracer(), core::TraceKind::kNorm, "norm");
  return boundary_step->inspect({.loss_scale = scaler.scale(),
                                 .gradient_clipping = config.gradient_clipping,
                                 .check_overflow = engine::checks_overflow(config),
                                 .step = progress.global_steps});
}

void TrainingEngine::Impl::update(const zero::StepResult& inspected, const std::vector<GroupValues>& groups) {
  const core::TraceScope scope(step_trace->tracer(), core::TraceKind::kUpdate, "update and gather");
  if (is_external()) {
    step_external(inspected);
  } else {
    boundary_step->apply(*optimizer, present_groups(groups), inspected, progress.global_steps);
  }
}

zero::StepResult TrainingEngine::Impl::run_boundary(const std::vector<GroupValues>& groups) {
  step_trace->end_forward();  // of a forward without a backward
  const core::TraceScope scope(step_trace->tracer(), core::TraceKind::kStep, "step");
  if (has_local_gradients) {  // no backward of this window was a reducing one
    reducer->begin_backward({.policy = zero::ReducePolicy::kNow, .scale = 1.0, .step = progress.global_steps});
    reducer->backward_done();
    has_local_gradients = false;
  }
  gather_agreement->compare(progress.global_steps);
  settle_parameters();
  reducer->fill_missing();
  views->adopt_replaced();
  views->take_back();
  const zero::StepResult result = inspect_gradients();
  if (result.overflow) return result;
  update(result, groups);
  gather_agreement->poll();
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
  if (!outcome.at_boundary) {
    step_trace->end_micro_batch();
    return outcome;
  }
  const double scale_before = scaler.scale();
  const zero::StepResult result = run_boundary(groups);
  reducer->start_window();
  window_has_gradients = false;
  last_norm = result.gradient_norm;
  last_overflow = result.overflow;
  ++progress.global_steps;
  outcome.report = step_trace->end_step(progress.global_steps);
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

void TrainingEngine::Impl::follow_loaded_weights() {
  reducer->start_window();
  if (binder) binder->invalidate();
  window_has_gradients = has_local_gradients = micro_batch_counted = false;
  at_step_start = true;
  if (owner_step) owner_step->refresh_masters(progress.global_steps);
}

}  // namespace deepspeed::detail
