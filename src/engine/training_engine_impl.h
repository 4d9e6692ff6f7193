// The parts that one engine wires together, for the files of this folder.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/mesh.h"
#include "config/config.h"
#include "deepspeed/detail/training_engine.h"
#include "engine/parameter_claim.h"
#include "engine/step_trace.h"
#include "optim/hyperparameters.h"
#include "optim/range_optimizer.h"
#include "optim/schedules.h"
#include "plan/unit_cut.h"
#include "precision/loss_scaler.h"
#include "zero/binder.h"
#include "zero/boundary_step.h"
#include "zero/gather_agreement.h"
#include "zero/gradient_views.h"
#include "zero/lane_store.h"
#include "zero/owner_step.h"
#include "zero/reducer.h"

namespace deepspeed::detail {

struct TrainingEngine::Impl {
  using MakeTransport = std::function<Transport(c10::Device)>;
  Impl(ModelDescription model, const std::string& config_argument, const MakeTransport& make_transport);

  // set-up
  std::vector<plan::ModuleInfo> module_infos() const;
  void declare_leaves();
  void adopt_parameters();
  void check_loose_parameters() const;
  void choose_optimizer();
  void follow_schedule();
  void build_layout(bool first);
  void broadcast_buffers();
  plan::ParameterInfo info_of(size_t index) const;
  bool trains(size_t index) const {
    return parameters[index].tensor.requires_grad() && parameters[index].group >= 0 && has_optimizer();
  }

  // events
  void before_forward(int module);
  zero::Reducer::BackwardSettings settings(bool scale_wrt_gas);
  void begin_backward(bool scale_wrt_gas);
  void end_backward();
  void abandon_backward();
  void drop_broken_backward();
  void follow_requires_grad();
  void wake_unfrozen();
  bool is_boundary() const;
  StepOutcome step(const std::vector<GroupValues>& groups);
  zero::StepResult run_boundary(const std::vector<GroupValues>& groups);
  zero::StepResult inspect_gradients();
  void update(const zero::StepResult& inspected, const std::vector<GroupValues>& groups);
  void step_external(const zero::StepResult& inspected);
  std::vector<optim::Hyperparameters> present_groups(const std::vector<GroupValues>& groups) const;
  void advance_schedule();
  comm::Communicator& data() const { return mesh->axis("data"); }
  void check_alive() const;
  void let_everything_go();
  bool has_optimizer() const { return !optimizer_type.empty(); }
  bool is_external() const { return optimizer_type == kExternalOptimizer; }
  void check_optimizer(const char* what) const;

  // access
  /// Shards and masters are what the user sees: before anything reads them.
  void settle_parameters() {
    if (binder) binder->write_back();
  }
  /// Shards and masters were loaded: gradients of the weights before are dropped, what was gathered is stale.
  void follow_loaded_weights();
  /// Parameters whose data was replaced (module.to(), p.data = x) move back into their lanes with it.
  void reattach_parameters() {
    store->reattach_parameters();
    if (binder) binder->reattach();
  }
  bool is_released(const zero::Location& where) const { return store->units()[where.unit].released; }
  const zero::Location* find(const std::string& name) const;
  const std::string& canonical(const std::string& name) const;
  zero::LaneBuffers& lane_of(const zero::Location& where) { return store->units()[where.unit].lanes[where.lane]; }
  int state_index(const std::string& key) const;

  ModelDescription model;
  config::Config config;
  std::unique_ptr<engine::StepTrace> step_trace;
  std::unique_ptr<comm::Mesh> mesh;
  std::unique_ptr<comm::Communicator> gathers;  // of parameters at stage 3: beside reductions, in an order of their own
  std::vector<tensor::NamedParameter> parameters;      // those that lanes hold
  std::vector<ParameterDescription> loose_parameters;  // integers and the like: stay where they are
  std::map<std::string, size_t> parameter_index;
  engine::ParameterClaim claim;
  std::string optimizer_type;                           // "": none
  std::vector<optim::Hyperparameters> hyperparameters;  // the engine's own, a group each
  std::unique_ptr<optim::RangeOptimizer> optimizer;     // none for an external one
  std::unique_ptr<optim::Schedule> schedule;            // C++ front door only
  int64_t schedule_iteration = -1;
  precision::LossScaler scaler;
  std::unique_ptr<zero::LaneStore> store;
  std::shared_ptr<zero::Binder> binder;  // where units are released between uses
  std::unique_ptr<zero::GatherAgreement> gather_agreement;
  std::unique_ptr<zero::Reducer> reducer;
  std::unique_ptr<zero::GradientViews> views;
  std::unique_ptr<zero::BoundaryStep> boundary_step;
  std::unique_ptr<zero::OwnerStep> owner_step;  // external optimizers only
  std::function<void(const std::vector<OwnedParameter>&)> external_step;
  std::vector<std::vector<int>> units_of_module;  // by module index: those of parameters that it owns itself

  std::vector<bool> missed_step;  // by parameter: it was frozen when the last step went by
  Progress progress;
  std::optional<bool> boundary_override;
  int no_sync_depth = 0;
  bool window_has_gradients = false;  // some backward ran since the last boundary step
  bool micro_batch_counted = false;   // step() was called since, short of the boundary
  bool has_local_gradients = false;   // some backward of this window kept its gradients here
  bool at_step_start = true;
  bool warned_of_late_unfreezing = false;  // in this step
  std::optional<double> last_norm;
  bool last_overflow = false;
  bool destroyed = false;
};

}  // namespace deepspeed::detail
