// Sharded things by parameter name, whole or the part that this rank owns: reading and writing weights, gradients and
// optimizer state.
#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <utility>

#include "deepspeed/error.h"
#include "engine/fail_together.h"
#include "engine/training_engine_impl.h"
#include "zero/gather.h"

namespace deepspeed::detail {
namespace {

comm::Tag access_tag(const std::string& name) {
  return {.step = 0, .phase = comm::Phase::kUser, .unit = -1, .name = name};
}

}  // namespace

const std::string& TrainingEngine::Impl::canonical(const std::string& name) const {
  const auto alias = model.aliases.find(name);
  return alias == model.aliases.end() ? name : alias->second;
}

const zero::Location* TrainingEngine::Impl::find(const std::string& name) const {
  check_alive();
  const auto found = parameter_index.find(canonical(name));
  return found == parameter_index.end() ? nullptr : &store->location(static_cast<int>(found->second));
}

int TrainingEngine::Impl::state_index(const std::string& key) const {
  const auto& specs = store->state_specs();
  const auto found =
      std::find_if(specs.begin(), specs.end(), [&](const optim::StateSpec& spec) { return spec.name == key; });
  return found == specs.end() ? -1 : static_cast<int>(found - specs.begin());
}

namespace {

/// One parameter out of its whole lane, as float32 of the parameter's shape; a copy.
at::Tensor cut_whole(TrainingEngine::Impl& impl, const std::string& name, const zero::Location& where,
                     const at::Tensor& whole_lane) {
  const at::NoGradGuard no_grad;
  const at::Tensor& like = impl.parameters[impl.parameter_index.at(impl.canonical(name))].tensor;
  return whole_lane.narrow(0, where.range.begin, where.range.numel()).to(at::kFloat).view(like.sizes()).clone();
}

/// The whole value of one parameter out of owned parts. Collective.
at::Tensor whole_value(TrainingEngine::Impl& impl, const std::string& name, const zero::Location& where,
                       const at::Tensor& owned) {
  const at::NoGradGuard no_grad;
  return cut_whole(impl, name, where,
                   zero::gather_lane(*impl.store, impl.lane_of(where), owned, impl.data(), access_tag(name)));
}

/// The part of one parameter that this rank owns, as flat float32; a copy.
at::Tensor owned_value(TrainingEngine::Impl& impl, const zero::Location& where, const at::Tensor& owned) {
  const at::NoGradGuard no_grad;
  return zero::owned_view(impl.lane_of(where), where.range, owned).to(at::kFloat).clone();
}

void check_shape(TrainingEngine::Impl& impl, const std::string& name, const zero::Location& where,
                 const at::Tensor& value) {
  DS_CHECK(value.numel() == where.range.numel(), ValueError, "[engine] ", impl.canonical(name), " has ",
           where.range.numel(), " elements, the given value ", value.numel());
}

void check_local_shape(TrainingEngine::Impl& impl, const std::string& name, const zero::Location& where,
                       const at::Tensor& value) {
  const plan::Range mine = zero::owned_elements(impl.lane_of(where), where.range);
  DS_CHECK(value.numel() == mine.numel(), ValueError, "[engine] rank ", impl.data().rank(), " owns ", mine.numel(),
           " of the ", where.range.numel(), " elements of ", impl.canonical(name), " ([", mine.begin, ", ", mine.end,
           ")), the given value has ", value.numel(),
           ". Ranks own unequal parts: take the shape of what safe_get_local_* gives on this rank.");
}

const zero::Location& find_trainable(TrainingEngine::Impl& impl, const std::string& name) {
  const zero::Location* where = impl.find(name);
  DS_CHECK(where != nullptr, ValueError, "[engine] no parameter ", name);
  DS_CHECK(impl.lane_of(*where).plan.trainable, ValueError, "[engine] parameter ", name,
           " is frozen: it has no gradient, master weight or optimizer state");
  return *where;
}

/// This rank's buffer of one optimizer state.
at::Tensor& find_state(TrainingEngine::Impl& impl, const zero::Location& where, const std::string& key) {
  const int state = impl.state_index(key);
  DS_CHECK(state >= 0, ValueError, "[engine] optimizer ", impl.optimizer_type, " has no state ", key);
  return impl.lane_of(where).states[state];
}

void check_reduced(TrainingEngine::Impl& impl, const std::string& name, const zero::Location& where) {
  DS_CHECK(impl.reducer->is_filled(where.unit), ValueError, "[engine] the gradient of ", impl.canonical(name),
           " is not reduced yet, so that a value set now would be lost. Set it after the backward of the last "
           "micro-batch and before step().");
}

/// Where this rank's gradient of a parameter is, or nothing: not managed, frozen, not reduced yet.
const zero::Location* find_reduced(TrainingEngine::Impl& impl, const std::string& name) {
  const zero::Location* where = impl.find(name);
  const bool has_gradient =
      where != nullptr && impl.lane_of(*where).plan.trainable && impl.reducer->is_filled(where->unit);
  return has_gradient ? where : nullptr;
}

}  // namespace

// --- whole values --------------------------------------------------------------------------------------------------

at::Tensor TrainingEngine::full_fp32_parameter(const std::string& name) {
  const zero::Location* where = impl_->find(name);
  if (where == nullptr) return {};
  zero::LaneBuffers& lane = impl_->lane_of(*where);
  impl_->settle_parameters();
  if (lane.plan.trainable && lane.needs_master_copy()) return whole_value(*impl_, name, *where, lane.master);
  const at::NoGradGuard no_grad;
  if (impl_->is_released(*where)) return whole_value(*impl_, name, *where, lane.owned_parameters);
  return impl_->parameters[impl_->parameter_index.at(impl_->canonical(name))].tensor.detach().to(at::kFloat).clone();
}

at::Tensor TrainingEngine::full_gradient(const std::string& name) {
  const zero::Location* where = find_reduced(*impl_, name);
  if (where == nullptr) return {};
  return whole_value(*impl_, name, *where, impl_->lane_of(*where).owned_gradient).div_(impl_->scaler.scale());
}

std::vector<at::Tensor> TrainingEngine::full_gradients(const std::vector<std::string>& names) {
  std::map<std::pair<int, int>, std::vector<size_t>> by_lane;  // the same order on every rank
  for (size_t index = 0; index < names.size(); ++index) {
    if (const zero::Location* where = find_reduced(*impl_, names[index])) {
      by_lane[{where->unit, where->lane}].push_back(index);
    }
  }
  std::vector<at::Tensor> gradients(names.size());
  for (const auto& [place, indices] : by_lane) {
    zero::LaneBuffers& lane = impl_->store->units()[place.first].lanes[place.second];
    const at::Tensor whole =
        zero::gather_lane(*impl_->store, lane, lane.owned_gradient, impl_->data(), access_tag(names[indices.front()]));
    for (const size_t index : indices) {
      gradients[index] = cut_whole(*impl_, names[index], *impl_->find(names[index]), whole).div_(impl_->scaler.scale());
    }
  }
  return gradients;
}

at::Tensor TrainingEngine::full_optimizer_state(const std::string& name, const std::string& key) {
  const zero::Location* where = impl_->find(name);
  const int state = where == nullptr ? -1 : impl_->state_index(key);
  if (state < 0 || !impl_->lane_of(*where).plan.trainable) return {};
  return whole_value(*impl_, name, *where, impl_->lane_of(*where).states[state]);
}

void TrainingEngine::set_full_fp32_parameter(const std::string& name, const at::Tensor& value) {
  const at::NoGradGuard no_grad;
  const zero::Location* where = impl_->find(name);
  DS_CHECK(where != nullptr, ValueError, "[engine] no parameter ", name);
  check_shape(*impl_, name, *where, value);
  zero::LaneBuffers& lane = impl_->lane_of(*where);
  if (impl_->is_released(*where)) {
    impl_->settle_parameters();
    zero::cut_into_owned(lane, where->range, value, lane.owned_parameters);
    impl_->binder->invalidate();
  } else {
    lane.parameters.narrow(0, where->range.begin, where->range.numel()).copy_(value.detach().reshape({-1}));
  }
  if (lane.plan.trainable && lane.needs_master_copy()) zero::cut_into_owned(lane, where->range, value, lane.master);
  if (impl_->owner_step)
    impl_->owner_step->set_master(static_cast<int>(impl_->parameter_index.at(impl_->canonical(name))), value);
}

void TrainingEngine::set_full_optimizer_state(const std::string& name, const std::string& key,
                                              const at::Tensor& value) {
  const at::NoGradGuard no_grad;
  const zero::Location& where = find_trainable(*impl_, name);
  check_shape(*impl_, name, where, value);
  zero::cut_into_owned(impl_->lane_of(where), where.range, value, find_state(*impl_, where, key));
}

void TrainingEngine::set_full_gradient(const std::string& name, const at::Tensor& value) {
  const at::NoGradGuard no_grad;
  const zero::Location& where = find_trainable(*impl_, name);
  check_shape(*impl_, name, where, value);
  check_reduced(*impl_, name, where);
  zero::cut_into_owned(impl_->lane_of(where), where.range, value * impl_->scaler.scale(),
                       impl_->lane_of(where).owned_gradient);
}

// --- this rank's part ----------------------------------------------------------------------------------------------

std::pair<int64_t, int64_t> TrainingEngine::local_range(const std::string& name) const {
  const zero::Location* where = impl_->find(name);
  DS_CHECK(where != nullptr, ValueError, "[engine] no parameter ", name);
  const plan::Range mine = zero::owned_elements(impl_->lane_of(*where), where->range);
  return {mine.begin, mine.end};
}

at::Tensor TrainingEngine::local_fp32_parameter(const std::string& name) {
  const zero::Location* where = impl_->find(name);
  if (where == nullptr) return {};
  zero::LaneBuffers& lane = impl_->lane_of(*where);
  impl_->settle_parameters();
  const bool has_master = lane.plan.trainable && lane.needs_master_copy();
  return owned_value(*impl_, *where, has_master ? lane.master : lane.owned_parameters);
}

at::Tensor TrainingEngine::local_gradient(const std::string& name) {
  const zero::Location* where = find_reduced(*impl_, name);
  if (where == nullptr) return {};
  return owned_value(*impl_, *where, impl_->lane_of(*where).owned_gradient).div_(impl_->scaler.scale());
}

at::Tensor TrainingEngine::local_optimizer_state(const std::string& name, const std::string& key) {
  const zero::Location* where = impl_->find(name);
  const int state = where == nullptr ? -1 : impl_->state_index(key);
  if (state < 0 || !impl_->lane_of(*where).plan.trainable) return {};
  return owned_value(*impl_, *where, impl_->lane_of(*where).states[state]);
}

void TrainingEngine::set_local_fp32_parameter(const std::string& name, const at::Tensor& value) {
  const at::NoGradGuard no_grad;
  const zero::Location* where = impl_->find(name);
  DS_CHECK(where != nullptr, ValueError, "[engine] no parameter ", name);
  engine::fail_together<ValueError>(impl_->data(), access_tag(name), "[engine] ",
                                    [&] { check_local_shape(*impl_, name, *where, value); });
  zero::LaneBuffers& lane = impl_->lane_of(*where);
  impl_->settle_parameters();
  const at::Tensor flat = value.detach().reshape({-1});
  zero::owned_view(lane, where->range, lane.owned_parameters).copy_(flat);
  if (lane.plan.trainable && lane.needs_master_copy()) zero::owned_view(lane, where->range, lane.master).copy_(flat);
  if (impl_->is_released(*where)) {
    impl_->binder->invalidate();
  } else if (impl_->store->options().lifetimes.states_sharded) {
    impl_->data().all_gather(lane.parameters, access_tag(name)).wait();
  }
  if (impl_->owner_step) impl_->owner_step->refresh_masters(impl_->progress.global_steps);
}

void TrainingEngine::set_local_gradient(const std::string& name, const at::Tensor& value) {
  const at::NoGradGuard no_grad;
  const zero::Location& where = find_trainable(*impl_, name);
  check_local_shape(*impl_, name, where, value);
  check_reduced(*impl_, name, where);
  zero::LaneBuffers& lane = impl_->lane_of(where);
  zero::owned_view(lane, where.range, lane.owned_gradient).copy_(value.detach().reshape({-1}) * impl_->scaler.scale());
}

void TrainingEngine::set_local_optimizer_state(const std::string& name, const std::string& key,
                                               const at::Tensor& value) {
  const at::NoGradGuard no_grad;
  const zero::Location& where = find_trainable(*impl_, name);
  at::Tensor& state = find_state(*impl_, where, key);
  check_local_shape(*impl_, name, where, value);
  zero::owned_view(impl_->lane_of(where), where.range, state).copy_(value.detach().reshape({-1}));
}

// --- both ----------------------------------------------------------------------------------------------------------

void TrainingEngine::refresh_masters() {
  const at::NoGradGuard no_grad;
  impl_->check_alive();
  impl_->settle_parameters();
  impl_->store->reattach_parameters();
  impl_->store->refresh_masters();
  if (impl_->owner_step) impl_->owner_step->refresh_masters(impl_->progress.global_steps);
}

std::vector<std::string> TrainingEngine::optimizer_state_names() const {
  std::vector<std::string> names;
  if (!impl_->destroyed) {
    for (const optim::StateSpec& spec : impl_->store->state_specs()) names.push_back(spec.name);
  }
  return names;
}

}  // namespace deepspeed::detail
