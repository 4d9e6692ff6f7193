// Whole weights out of a checkpoint's pieces.
#include "deepspeed/detail/checkpoint_weights.h"

#include <ATen/ATen.h>

#include <map>

#include "checkpoint/element_conversion.h"
#include "checkpoint/reader.h"
#include "deepspeed/error.h"
#include "engine/element_types.h"
#include "engine/owned_state_key.h"

namespace deepspeed::detail {
namespace {

/// The state that a whole weight is read from; "": this is neither a parameter nor a buffer.
std::string source_of(const checkpoint::CheckpointReader& reader, const std::string& name) {
  for (const char* state : {checkpoint::kMasterState, checkpoint::kWeightState, checkpoint::kBufferState}) {
    if (reader.has(name, state)) return state;
  }
  return "";
}

bool is_trained(const checkpoint::CheckpointReader& reader, const std::string& name) {
  for (const std::string& state : reader.states(name)) {
    if (state != checkpoint::kWeightState && state != checkpoint::kBufferState && !state.starts_with(kOwnedPrefix))
      return true;
  }
  return false;
}

io::ElementType given_type(io::ElementType stored) {
  return checkpoint::is_convertible(stored, io::ElementType::kFloat32) ? io::ElementType::kFloat32 : stored;
}

}  // namespace

struct CheckpointWeights::Impl {
  checkpoint::CheckpointReader reader;
  std::vector<CheckpointWeight> list;
};

CheckpointWeights::CheckpointWeights(const std::string& folder, const std::optional<std::string>& tag)
    : impl_(new Impl{checkpoint::CheckpointReader::open(folder, tag), {}}) {
  const checkpoint::CheckpointReader& reader = impl_->reader;
  const auto add = [&](const std::string& name, const std::string& owner) {
    const std::string state = source_of(reader, owner);
    if (state.empty()) return;
    impl_->list.push_back({.name = name,
                           .shape = reader.global_shape(owner, state),
                           .type = engine::scalar_type_of(given_type(reader.type(owner, state))),
                           .owner = owner,
                           .is_buffer = state == checkpoint::kBufferState,
                           .is_trained = is_trained(reader, owner)});
  };
  for (const std::string& name : reader.names()) add(name, name);
  for (const auto& [alias, owner] : reader.manifest().aliases) add(alias, owner);
}

CheckpointWeights::~CheckpointWeights() = default;

const std::vector<CheckpointWeight>& CheckpointWeights::list() const { return impl_->list; }

at::Tensor CheckpointWeights::read(const std::string& name) {
  checkpoint::CheckpointReader& reader = impl_->reader;
  const std::string state = source_of(reader, name);
  DS_CHECK(!state.empty(), CheckpointError, "[engine.checkpoint] ", reader.path().string(), " has no weight called ",
           name);
  const std::vector<int64_t>& shape = reader.global_shape(name, state);
  const io::ElementType type = given_type(reader.type(name, state));
  at::Tensor whole = at::empty(shape, engine::scalar_type_of(type));
  reader.read(name, state, checkpoint::whole_box(shape), {0, whole.numel()}, whole.data_ptr(), type);
  return whole;
}

std::vector<std::pair<std::string, at::Tensor>> read_weights(const std::string& folder,
                                                             const std::optional<std::string>& tag) {
  CheckpointWeights weights(folder, tag);
  std::map<std::string, at::Tensor> found;
  std::vector<std::pair<std::string, at::Tensor>> result;
  for (const CheckpointWeight& weight : weights.list()) {
    at::Tensor& whole = found[weight.owner];
    if (!whole.defined()) whole = weights.read(weight.owner);
    result.emplace_back(weight.name, whole);
  }
  return result;
}

}  // namespace deepspeed::detail
