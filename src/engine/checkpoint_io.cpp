// The engine's state as named boxes, and back. Ranks write disjoint ranges at every stage; whatever is loaded is cut
// anew, so stage and world size of the checkpoint do not matter.
#include <ATen/ATen.h>

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/reader.h"
#include "checkpoint/writer.h"
#include "core/log.h"
#include "deepspeed/error.h"
#include "engine/element_types.h"
#include "engine/fail_together.h"
#include "engine/owned_state_key.h"
#include "engine/training_engine_impl.h"
#include "tensor/dtype.h"

namespace deepspeed::detail {
namespace {

using checkpoint::Json;
using engine::element_type_of;
using engine::scalar_type_of;

constexpr comm::Tag kTag{.step = 0, .phase = comm::Phase::kCheckpoint, .unit = -1, .name = "its files"};
constexpr const char* kWhere = "[engine.checkpoint] ";

/// Collects what one rank writes and keeps host copies alive until it is written.
class Collector {
 public:
  explicit Collector(checkpoint::CheckpointWriter& writer) : writer_(writer) {}

  void add_range(const std::string& name, const std::string& state, at::IntArrayRef shape, plan::Range range,
                 const at::Tensor& values) {
    const at::Tensor host = values.detach().cpu().contiguous();
    kept_.push_back(host);
    checkpoint::EntryDescription description =
        checkpoint::whole_tensor(name, state, element_type_of(values.scalar_type()), shape.vec());
    description.range = {range.begin, range.end};
    writer_.add(std::move(description), host.data_ptr());
  }
  void add_whole(const std::string& name, const std::string& state, const at::Tensor& values) {
    add_range(name, state, values.sizes(), {0, values.numel()}, values.contiguous());
  }

 private:
  checkpoint::CheckpointWriter& writer_;
  std::vector<at::Tensor> kept_;
};

/// The ranges of one lane that this rank writes: its shard, also where every rank holds the whole.
void collect_lane(TrainingEngine::Impl& impl, const zero::LaneBuffers& lane, bool exclude_frozen,
                  Collector& collector) {
  if (!lane.plan.trainable && exclude_frozen) return;
  if (impl.data().rank() == 0) {  // a parameter without elements lies in no shard, but its name and aliases exist
    for (const plan::Placement& placement : lane.plan.placements) {
      if (!placement.range.empty()) continue;
      const tensor::NamedParameter& parameter = impl.parameters[placement.parameter];
      collector.add_range(parameter.name, checkpoint::kWeightState, parameter.tensor.sizes(), {0, 0},
                          lane.parameters.narrow(0, 0, 0));
    }
  }
  const plan::Range shard = lane.plan.shard(impl.data().rank(), impl.data().size());
  for (const plan::Piece& piece : plan::pieces_in(lane.plan, shard)) {
    const tensor::NamedParameter& parameter = impl.parameters[piece.parameter];
    const int64_t numel = piece.in_lane.numel();
    const int64_t in_owned = piece.in_lane.begin - lane.owned.begin;
    const auto add = [&](const std::string& state, const at::Tensor& values) {
      collector.add_range(parameter.name, state, parameter.tensor.sizes(), piece.in_parameter, values);
    };
    add(checkpoint::kWeightState, lane.owned_parameters.narrow(0, in_owned, numel));
    if (!lane.plan.trainable) continue;
    if (lane.needs_master_copy()) add(checkpoint::kMasterState, lane.master.narrow(0, in_owned, numel));
    for (size_t state = 0; state < lane.states.size(); ++state) {
      add(impl.store->state_specs()[state].name, lane.states[state].narrow(0, in_owned, numel));
    }
  }
}

Json engine_state(TrainingEngine::Impl& impl) {
  const precision::LossScaler::State& scaler = impl.scaler.state();
  Json steps = Json::object();
  if (impl.boundary_step) {
    for (size_t index = 0; index < impl.parameters.size(); ++index)
      steps[impl.parameters[index].name] = impl.boundary_step->parameter_steps()[index];
  }
  return {{"micro_steps", impl.progress.micro_steps},
          {"global_steps", impl.progress.global_steps},
          {"global_samples", impl.progress.global_samples},
          {"skipped_steps", impl.progress.skipped_steps},
          {"optimizer", impl.optimizer_type},
          {"schedule_iteration", impl.schedule_iteration},
          {"parameter_steps", steps},
          {"loss_scaler",
           {{"is_dynamic", impl.scaler.is_dynamic()},
            {"scale", scaler.scale},
            {"iteration", scaler.iteration},
            {"last_overflow_iteration", scaler.last_overflow_iteration},
            {"hysteresis_left", scaler.hysteresis_left}}}};
}

void check_window_is_empty(const TrainingEngine::Impl& impl) {
  DS_CHECK(
      !impl.window_has_gradients, CheckpointError,
      "save_checkpoint: a backward ran that no optimizer step has followed yet (gradient_accumulation_steps is ",
      *impl.config.gradient_accumulation_steps,
      "). Its gradients are in no checkpoint, so a resumed run would lose them. Save after step() at an accumulation "
      "boundary.");
}

}  // namespace

void TrainingEngine::set_buffers(std::vector<BufferDescription> buffers) { impl_->model.buffers = std::move(buffers); }

void TrainingEngine::save_checkpoint(const std::string& folder, const std::string& tag, const std::string& client_state,
                                     const std::map<std::string, at::Tensor>& tensors, bool save_latest,
                                     bool exclude_frozen, const std::vector<OwnedState>& owned_states,
                                     const RankState& rank_state) {
  const at::NoGradGuard no_grad;
  impl_->check_alive();
  impl_->settle_parameters();
  comm::Communicator& data = impl_->data();
  checkpoint::CheckpointWriter writer(folder, tag, data.rank(), data.size());
  engine::fail_together(data, kTag, kWhere, [&] {
    check_window_is_empty(*impl_);
    if (data.rank() == 0) writer.prepare();
  });
  Collector collector(writer);
  std::string report;
  engine::fail_together(data, kTag, kWhere, [&] {
    for (const zero::UnitBuffers& unit : impl_->store->units()) {
      for (const zero::LaneBuffers& lane : unit.lanes) collect_lane(*impl_, lane, exclude_frozen, collector);
    }
    for (const OwnedState& state : owned_states) collector.add_whole(state.name, kOwnedPrefix + state.key, state.value);
    for (const auto& [name, value] : rank_state.tensors) collector.add_whole(name, checkpoint::kExtraState, value);
    if (data.rank() == 0) {
      for (const ParameterDescription& parameter : impl_->loose_parameters)
        collector.add_whole(parameter.name, checkpoint::kWeightState, parameter.tensor);
      for (const BufferDescription& buffer : impl_->model.buffers)
        collector.add_whole(buffer.name, checkpoint::kBufferState, buffer.tensor);
      for (const auto& [name, value] : tensors) collector.add_whole(name, checkpoint::kExtraState, value);
    }
    report = writer.write();
  });
  const std::vector<std::string> reports = data.all_gather_strings(report, kTag);
  const std::vector<std::string> rank_states = data.all_gather_strings(rank_state.json, kTag);
  engine::fail_together(data, kTag, kWhere, [&] {
    if (data.rank() != 0) return;
    Json state = {{"engine", engine_state(*impl_)},
                  {"client", client_state.empty() ? Json::object() : io::parse_json_text(client_state)},
                  {"ranks", Json::array()}};
    for (const std::string& each : rank_states)
      state["ranks"].push_back(each.empty() ? Json() : io::parse_json_text(each));
    std::map<std::string, std::string> aliases;
    for (const auto& [alias, owner] : impl_->model.aliases) {
      if (impl_->find(owner) != nullptr && !(exclude_frozen && !impl_->lane_of(*impl_->find(owner)).plan.trainable))
        aliases[alias] = owner;
    }
    writer.commit({.reports = reports,
                   .state = std::move(state),
                   .aliases = std::move(aliases),
                   .versions = {{"deepspeed-cpp", "0.1.0"}},
                   .update_latest = save_latest});
  });
}

namespace {

/// What a load must find, and what the checkpoint holds beside it.
void check_names(TrainingEngine::Impl& impl, const checkpoint::CheckpointReader& reader) {
  std::vector<std::string> missing;
  std::set<std::string> known;
  for (const tensor::NamedParameter& parameter : impl.parameters) {
    known.insert(parameter.name);
    if (parameter.tensor.numel() > 0 && !reader.has(parameter.name, checkpoint::kWeightState))
      missing.push_back(parameter.name);
  }
  for (const BufferDescription& buffer : impl.model.buffers) {
    known.insert(buffer.name);
    if (buffer.tensor.numel() > 0 && !reader.has(buffer.name, checkpoint::kBufferState)) missing.push_back(buffer.name);
  }
  for (const ParameterDescription& parameter : impl.loose_parameters) known.insert(parameter.name);
  std::vector<std::string> unexpected;
  for (const std::string& name : reader.names()) {
    const auto states = reader.states(name);
    if (!known.contains(name) && !known.contains(impl.canonical(name)) &&
        states != std::vector<std::string>{checkpoint::kExtraState})
      unexpected.push_back(name);
  }
  const auto list = [](const std::vector<std::string>& names) {
    std::string text;
    for (size_t index = 0; index < names.size() && index < 5; ++index) text += (index > 0 ? ", " : "") + names[index];
    return names.size() > 5 ? concat(text, " and ", names.size() - 5, " more") : text;
  };
  DS_CHECK(missing.empty() && unexpected.empty(), CheckpointError, "[engine.checkpoint] ", reader.path().string(),
           " does not fit the model: ", missing.empty() ? "" : concat("the checkpoint lacks ", list(missing), ". "),
           unexpected.empty() ? "" : concat("the model lacks ", list(unexpected), ". "),
           "Pass load_module_strict=False to load what both have.");
}

void read_into(checkpoint::CheckpointReader& reader, const std::string& name, const std::string& state,
               at::IntArrayRef shape, plan::Range range, const at::Tensor& target) {
  DS_CHECK(reader.global_shape(name, state) == shape.vec(), CheckpointError, "[engine.checkpoint] ", name,
           " has shape ", io::shape_text(reader.global_shape(name, state)), " in ", reader.path().string(), " and ",
           io::shape_text(shape.vec()), " in the model");
  const bool direct = target.is_cpu() && target.is_contiguous();
  const at::Tensor host = direct ? target : at::empty(target.sizes(), target.options().device(at::kCPU));
  reader.read(name, state, checkpoint::whole_box(shape.vec()), {range.begin, range.end}, host.data_ptr(),
              element_type_of(target.scalar_type()));
  if (!direct) target.copy_(host);
}

/// Weights of a lane, whole where they are whole on this rank, else its shard; where the checkpoint has masters,
/// float32 weights come from those.
void load_weights(TrainingEngine::Impl& impl, zero::LaneBuffers& lane, checkpoint::CheckpointReader& reader) {
  const bool whole = lane.parameters.defined();
  const plan::Range held = whole ? plan::Range{0, lane.plan.numel} : lane.owned;
  for (const plan::Piece& piece : plan::pieces_in(lane.plan, held)) {
    const tensor::NamedParameter& parameter = impl.parameters[piece.parameter];
    if (!reader.has(parameter.name, checkpoint::kWeightState)) continue;
    const bool exact = !lane.needs_master_copy() && reader.has(parameter.name, checkpoint::kMasterState);
    read_into(reader, parameter.name, exact ? checkpoint::kMasterState : checkpoint::kWeightState,
              parameter.tensor.sizes(), piece.in_parameter,
              (whole ? lane.parameters : lane.owned_parameters)
                  .narrow(0, piece.in_lane.begin - held.begin, piece.in_lane.numel()));
  }
}

/// Masters (from the weights where the checkpoint has none) and, if asked, moments of the owned range.
void load_owned(TrainingEngine::Impl& impl, zero::LaneBuffers& lane, checkpoint::CheckpointReader& reader,
                bool optimizer_states) {
  for (const plan::Piece& piece : plan::pieces_in(lane.plan, lane.owned)) {
    const tensor::NamedParameter& parameter = impl.parameters[piece.parameter];
    if (!reader.has(parameter.name, checkpoint::kWeightState)) continue;
    const int64_t begin = piece.in_lane.begin - lane.owned.begin;
    const auto read = [&](const std::string& state, const at::Tensor& target) {
      read_into(reader, parameter.name, state, parameter.tensor.sizes(), piece.in_parameter,
                target.narrow(0, begin, piece.in_lane.numel()));
    };
    if (lane.needs_master_copy()) {
      const bool has_master = optimizer_states && reader.has(parameter.name, checkpoint::kMasterState);
      read(has_master ? checkpoint::kMasterState : checkpoint::kWeightState, lane.master);
    }
    if (!optimizer_states) continue;
    for (size_t state = 0; state < lane.states.size(); ++state) {
      const std::string& key = impl.store->state_specs()[state].name;
      DS_CHECK(reader.has(parameter.name, key), CheckpointError, "[engine.checkpoint] ", reader.path().string(),
               " has no ", key, " for ", parameter.name,
               ": it was saved with another optimizer or while this parameter was frozen. Pass "
               "load_optimizer_states=False to start the optimizer afresh.");
      read(key, lane.states[state]);
    }
  }
}

void load_engine_state(TrainingEngine::Impl& impl, const Json& state, bool optimizer_states) {
  impl.progress = {.micro_steps = state.at("micro_steps").get<int64_t>(),
                   .global_steps = state.at("global_steps").get<int64_t>(),
                   .global_samples = state.at("global_samples").get<int64_t>(),
                   .skipped_steps = state.at("skipped_steps").get<int64_t>()};
  impl.schedule_iteration = state.at("schedule_iteration").get<int64_t>();
  if (impl.schedule) {
    // Python's schedules keep their own count; each applied step advanced one by one.
    if (impl.schedule_iteration < 0)
      impl.schedule_iteration = impl.progress.global_steps - impl.progress.skipped_steps - 1;
    impl.follow_schedule();
  }
  if (!optimizer_states) return;
  const Json& scaler = state.at("loss_scaler");
  // A run without dynamic scaling says nothing of the scale that this one needs.
  if (impl.scaler.is_dynamic() && scaler.value("is_dynamic", false)) {
    impl.scaler.set_state({.scale = scaler.at("scale").get<double>(),
                           .iteration = scaler.at("iteration").get<int64_t>(),
                           .last_overflow_iteration = scaler.at("last_overflow_iteration").get<int64_t>(),
                           .hysteresis_left = scaler.at("hysteresis_left").get<int64_t>()});
  }
  if (!impl.boundary_step) return;
  for (size_t index = 0; index < impl.parameters.size(); ++index) {
    impl.boundary_step->parameter_steps()[index] =
        state.at("parameter_steps").value(impl.parameters[index].name, int64_t{0});
  }
}

std::vector<OwnedState> read_owned_states(TrainingEngine::Impl& impl, checkpoint::CheckpointReader& reader) {
  std::vector<OwnedState> states;
  for (size_t index = 0; index < impl.parameters.size(); ++index) {
    const std::string& name = impl.parameters[index].name;
    if (!impl.owner_step->owns(static_cast<int>(index))) continue;
    for (const std::string& state : reader.states(name)) {
      if (!state.starts_with(kOwnedPrefix)) continue;
      const auto& shape = reader.global_shape(name, state);
      at::Tensor value = at::empty(shape, scalar_type_of(reader.type(name, state)));
      read_into(reader, name, state, shape, {0, value.numel()}, value);
      states.push_back({name, state.substr(kOwnedPrefix.size()), value});
    }
  }
  return states;
}

/// The tensors that typed JSON refers to, by name.
std::map<std::string, at::Tensor> read_references(checkpoint::CheckpointReader& reader, const Json& json) {
  std::map<std::string, at::Tensor> tensors;
  for (const std::string& name : checkpoint::tensor_references(json)) {
    const auto& shape = reader.global_shape(name, checkpoint::kExtraState);
    at::Tensor value = at::empty(shape, scalar_type_of(reader.type(name, checkpoint::kExtraState)));
    read_into(reader, name, checkpoint::kExtraState, shape, {0, value.numel()}, value);
    tensors[name] = value;
  }
  return tensors;
}

/// What this rank saved for itself; null where it saved nothing or the ranks were cut otherwise.
Json state_of_rank(const checkpoint::CheckpointReader& reader, const comm::Communicator& data) {
  const Json ranks = reader.state().value("ranks", Json::array());
  if (reader.world() != data.size() || ranks.size() != static_cast<size_t>(data.size())) return {};
  return ranks[static_cast<size_t>(data.rank())];
}

}  // namespace

LoadedCheckpoint TrainingEngine::load_checkpoint(const std::string& folder, const LoadOptions& options) {
  const at::NoGradGuard no_grad;
  impl_->check_alive();
  impl_->reattach_parameters();
  impl_->settle_parameters();
  LoadedCheckpoint loaded;
  engine::fail_together(impl_->data(), kTag, kWhere, [&] {
    checkpoint::CheckpointReader reader = checkpoint::CheckpointReader::open(folder, options.tag);
    if (options.strict) check_names(*impl_, reader);
    const bool optimizer_states = options.optimizer_states && !options.module_only;
    for (zero::UnitBuffers& unit : impl_->store->units()) {
      for (zero::LaneBuffers& lane : unit.lanes) {
        load_weights(*impl_, lane, reader);
        if (lane.plan.trainable) load_owned(*impl_, lane, reader, optimizer_states);
      }
    }
    for (const BufferDescription& buffer : impl_->model.buffers) {
      if (!reader.has(buffer.name, checkpoint::kBufferState)) continue;
      const at::Tensor target = buffer.tensor.detach();
      read_into(reader, buffer.name, checkpoint::kBufferState, target.sizes(), {0, target.numel()}, target);
    }
    for (const ParameterDescription& parameter : impl_->loose_parameters) {
      if (!reader.has(parameter.name, checkpoint::kWeightState)) continue;
      const at::Tensor target = parameter.tensor.detach();
      read_into(reader, parameter.name, checkpoint::kWeightState, target.sizes(), {0, target.numel()}, target);
    }
    if (impl_->owner_step && optimizer_states) loaded.owned_states = read_owned_states(*impl_, reader);
    if (!options.module_only && reader.state().contains("engine"))
      load_engine_state(*impl_, reader.state().at("engine"), optimizer_states);
    loaded.tag = reader.tag();
    loaded.path = reader.path().string();
    const Json client = reader.state().value("client", Json::object());
    loaded.client_state = client.dump();
    loaded.tensors = read_references(reader, client);
    loaded.world = reader.world();
    const Json own = state_of_rank(reader, impl_->data());
    if (!own.is_null()) loaded.rank_state = {own.dump(), read_references(reader, own)};
  });
  impl_->follow_loaded_weights();
  return loaded;
}

}  // namespace deepspeed::detail
