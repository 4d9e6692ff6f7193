// Whole values of sharded things, by parameter name: reading and writing weights, gradients and optimizer state.
#include <ATen/ATen.h>

#include <algorithm>

#include "deepspeed/error.h"
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

/// The whole value of one parameter out of owned parts, as float32 of the parameter's shape.
at::Tensor whole_value(TrainingEngine::Impl& impl, const std::string& name, const zero::Location& where,
                       const at::Tensor& owned) {
  const at::NoGradGuard no_grad;
  const at::Tensor whole = zero::gather_lane(*impl.store, impl.lane_of(where), owned, impl.data(), access_tag(name));
  const at::Tensor& like = impl.parameters[impl.parameter_index.at(impl.canonical(name))].tensor;
  return whole.narrow(0, where.range.begin, where.range.numel()).to(at::kFloat).view(like.sizes()).clone();
}

void check_shape(TrainingEngine::Impl& impl, const std::string& name, const zero::Location& where,
                 const at::Tensor& value) {
  DS_CHECK(value.numel() == where.range.numel(), ValueError, "[engine] ", impl.canonical(name), " has ",
           where.range.numel(), " elements, the given value ", value.numel());
}

const zero::Location& find_trainable(TrainingEngine::Impl& impl, const std::string& name) {
  const zero::Location* where = impl.find(name);
  DS_CHECK(where != nullptr, ValueError, "[engine] no parameter ", name);
  DS_CHECK(impl.lane_of(*where).plan.trainable, ValueError, "[engine] parameter ", name,
           " is frozen: it has no gradient, master weight or optimizer state");
  return *where;
}

}  // namespace

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
  const zero::Location* where = impl_->find(name);
  if (where == nullptr || !impl_->lane_of(*where).plan.trainable || !impl_->reducer->is_filled(where->unit)) return {};
  return whole_value(*impl_, name, *where, impl_->lane_of(*where).owned_gradient).div_(impl_->scaler.scale());
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

void TrainingEngine::refresh_masters() {
  const at::NoGradGuard no_grad;
  impl_->check_alive();
  impl_->settle_parameters();
  impl_->store->reattach_parameters();
  impl_->store->refresh_masters();
  if (impl_->owner_step) impl_->owner_step->refresh_masters(impl_->progress.global_steps);
}

void TrainingEngine::set_full_optimizer_state(const std::string& name, const std::string& key,
                                              const at::Tensor& value) {
  const at::NoGradGuard no_grad;
  const zero::Location& where = find_trainable(*impl_, name);
  const int state = impl_->state_index(key);
  DS_CHECK(state >= 0, ValueError, "[engine] optimizer ", impl_->optimizer_type, " has no state ", key);
  check_shape(*impl_, name, where, value);
  zero::cut_into_owned(impl_->lane_of(where), where.range, value, impl_->lane_of(where).states[state]);
}

void TrainingEngine::set_full_gradient(const std::string& name, const at::Tensor& value) {
  const at::NoGradGuard no_grad;
  const zero::Location& where = find_trainable(*impl_, name);
  check_shape(*impl_, name, where, value);
  DS_CHECK(impl_->reducer->is_filled(where.unit), ValueError, "[engine] the gradient of ", impl_->canonical(name),
           " is not reduced yet, so that a value set now would be lost. Set it after the backward of the last "
           "micro-batch and before step().");
  zero::cut_into_owned(impl_->lane_of(where), where.range, value * impl_->scaler.scale(),
                       impl_->lane_of(where).owned_gradient);
}

std::vector<std::string> TrainingEngine::optimizer_state_names() const {
  std::vector<std::string> names;
  if (!impl_->destroyed) {
    for (const optim::StateSpec& spec : impl_->store->state_specs()) names.push_back(spec.name);
  }
  return names;
}

}  // namespace deepspeed::detail
