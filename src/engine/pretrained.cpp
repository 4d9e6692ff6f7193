// One mechanism for ordinary modules, for parameters that Init sharded, and for live engines: names are matched with
// keys, each tensor or part of one becomes a destination, and the plan's reads fill them.
#include "deepspeed/pretrained.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>
#include <utility>

#include "checkpoint/pretrained_files.h"
#include "core/log.h"
#include "deepspeed/detail/pretrained_files.h"
#include "deepspeed/detail/sharded_parameters.h"
#include "deepspeed/engine.h"
#include "deepspeed/error.h"
#include "engine/fail_together.h"
#include "engine/parameter_claim.h"
#include "engine/pretrained_fill.h"
#include "engine/training_engine_impl.h"
#include "tensor/touch.h"
#include "zero/binder.h"

namespace deepspeed {
namespace {

constexpr comm::Tag kTag{.step = 0, .phase = comm::Phase::kCheckpoint, .unit = -1, .name = "pretrained weights"};
constexpr const char* kWhere = "[engine.pretrained] ";

/// A model's tensors by all their names, parameters before buffers, and where each has its key.
struct NamedTensors {
  std::vector<std::vector<std::string>> names;
  size_t parameters = 0;
  std::vector<std::string> keys;
};

template <class Parameters>
NamedTensors names_of(const Parameters& parameters, const detail::ModelDescription& model) {
  std::map<std::string, std::vector<std::string>> aliases;
  for (const auto& [alias, name] : model.aliases) aliases[name].push_back(alias);
  NamedTensors result;
  const auto add = [&](const std::string& name) {
    std::vector<std::string>& names = result.names.emplace_back(std::vector{name});
    if (const auto found = aliases.find(name); found != aliases.end())
      names.insert(names.end(), found->second.begin(), found->second.end());
  };
  for (const auto& parameter : parameters) add(parameter.name);
  result.parameters = result.names.size();
  for (const detail::BufferDescription& buffer : model.buffers) add(buffer.name);
  return result;
}

std::string first_of(const std::vector<std::string>& names) {
  std::string text;
  for (size_t index = 0; index < names.size() && index < 5; ++index) text += (index > 0 ? ", " : "") + names[index];
  return names.size() > 5 ? concat(text, " and ", names.size() - 5, " more") : text;
}

/// Finds the keys and says what has none.
LoadedPretrained match(const checkpoint::PretrainedFiles& files, NamedTensors& tensors,
                       const LoadPretrainedOptions& options) {
  checkpoint::NameMatch found = checkpoint::match_names(tensors.names, files.tensors(), options.base_prefix);
  LoadedPretrained loaded;
  std::vector<std::string> missing_parameters;
  for (size_t index = 0; index < found.keys.size(); ++index) {
    if (!found.keys[index].empty()) continue;
    loaded.missing.push_back(tensors.names[index].front());
    if (index < tensors.parameters) missing_parameters.push_back(tensors.names[index].front());
  }
  DS_CHECK(missing_parameters.empty() || options.allow_missing, CheckpointError, kWhere, files.where(), " lacks ",
           first_of(missing_parameters), " of the model",
           found.unexpected.empty() ? "" : concat("; the model lacks ", first_of(found.unexpected), " of the files"),
           ". Names must be equal but for '", options.base_prefix,
           ".' in front (base_prefix). With allow_missing such parameters keep their values.");
  tensors.keys = std::move(found.keys);
  loaded.unexpected = std::move(found.unexpected);
  if (!loaded.unexpected.empty())
    core::log_info(kWhere, files.where(), " has ", loaded.unexpected.size(),
                   " tensors that the model does not use: ", first_of(loaded.unexpected));
  return loaded;
}

}  // namespace

LoadedPretrained load_pretrained(const torch::nn::Module& module, const std::string& folder,
                                 const LoadPretrainedOptions& options) {
  const detail::ModelDescription model = detail::describe(module, {});
  checkpoint::PretrainedFiles files = checkpoint::PretrainedFiles::open(folder);
  NamedTensors tensors = names_of(model.parameters, model);
  LoadedPretrained loaded = match(files, tensors, options);
  std::vector<engine::PretrainedDestination> destinations;
  for (size_t index = 0; index < tensors.keys.size(); ++index) {
    if (tensors.keys[index].empty()) continue;
    const bool is_parameter = index < tensors.parameters;
    const at::Tensor& tensor =
        is_parameter ? model.parameters[index].tensor : model.buffers[index - tensors.parameters].tensor;
    DS_CHECK(!detail::is_sharded(tensor), ValueError, kWhere, tensors.names[index].front(),
             " belongs to an engine and is sharded: call engine->load_pretrained() on all ranks instead.");
    DS_CHECK(!engine::is_claimed(tensor), ValueError, kWhere, tensors.names[index].front(),
             " is trained by an engine, whose master weights would stay: call engine->load_pretrained() instead.");
    DS_CHECK(
        !tensor.is_meta(), ValueError, kWhere, tensors.names[index].front(),
        " is on the meta device and can hold no values: give it memory first, or build the module under SkipInit.");
    destinations.push_back(engine::whole_destination(tensors.names[index].front(), tensors.keys[index], tensor));
  }
  engine::fill(files, destinations);
  loaded.bytes_read = static_cast<int64_t>(files.bytes_read());
  return loaded;
}

LoadedPretrained EngineBase::load_pretrained(const std::string& folder, const LoadPretrainedOptions& options) {
  core_->set_buffers(detail::describe_buffers(module_));
  return core_->load_pretrained(folder, options);
}

namespace detail {

struct PretrainedFiles::Impl {
  checkpoint::PretrainedFiles files;
};

PretrainedFiles PretrainedFiles::open(const std::string& folder) {
  return PretrainedFiles(std::make_unique<Impl>(Impl{checkpoint::PretrainedFiles::open(folder)}));
}

PretrainedFiles::PretrainedFiles(const std::vector<std::string>& paths)
    : impl_(new Impl{checkpoint::PretrainedFiles(std::vector<std::filesystem::path>(paths.begin(), paths.end()))}) {}

PretrainedFiles::PretrainedFiles(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PretrainedFiles::PretrainedFiles(PretrainedFiles&&) noexcept = default;
PretrainedFiles& PretrainedFiles::operator=(PretrainedFiles&&) noexcept = default;
PretrainedFiles::~PretrainedFiles() = default;

std::vector<std::string> PretrainedFiles::keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, tensor] : impl_->files.tensors()) keys.push_back(key);
  return keys;
}

PretrainedMatch PretrainedFiles::match(const std::vector<std::vector<std::string>>& names,
                                       const std::string& base_prefix) const {
  checkpoint::NameMatch found = checkpoint::match_names(names, impl_->files.tensors(), base_prefix);
  return {std::move(found.keys), std::move(found.unexpected)};
}

void PretrainedFiles::fill(const std::vector<PretrainedTarget>& targets) {
  std::vector<engine::PretrainedDestination> destinations;
  std::vector<std::shared_ptr<zero::Binder>> binders;  // in the order of the targets, which is the same on all ranks
  for (const PretrainedTarget& target : targets) {
    const tensor::Watcher watcher = tensor::watcher_of(target.tensor);
    if (auto binder = std::dynamic_pointer_cast<zero::Binder>(watcher.listener)) {
      destinations.push_back(engine::part_destination(target.name, target.key, target.tensor.sizes(),
                                                      zero::part_of(binder->store(), watcher.index)));
      if (std::find(binders.begin(), binders.end(), binder) == binders.end()) binders.push_back(std::move(binder));
    } else {
      destinations.push_back(engine::whole_destination(target.name, target.key, target.tensor));
    }
  }
  for (const auto& binder : binders) binder->invalidate();  // what is bound or written goes into the shards first
  if (binders.empty()) return engine::fill(impl_->files, destinations);
  engine::fail_together(binders.front()->gathers(), kTag, kWhere, [&] { engine::fill(impl_->files, destinations); });
}

int64_t PretrainedFiles::bytes_read() const { return static_cast<int64_t>(impl_->files.bytes_read()); }

LoadedPretrained TrainingEngine::load_pretrained(const std::string& folder, const LoadPretrainedOptions& options) {
  const at::NoGradGuard no_grad;
  impl_->check_alive();
  impl_->reattach_parameters();
  impl_->settle_parameters();
  LoadedPretrained loaded;
  engine::fail_together(impl_->data(), kTag, kWhere, [&] {
    checkpoint::PretrainedFiles files = checkpoint::PretrainedFiles::open(folder);
    NamedTensors tensors = names_of(impl_->model.parameters, impl_->model);
    loaded = match(files, tensors, options);
    std::vector<engine::PretrainedDestination> destinations;
    for (size_t index = 0; index < tensors.keys.size(); ++index) {
      const std::string& name = tensors.names[index].front();
      const std::string& key = tensors.keys[index];
      if (key.empty()) continue;
      const bool is_buffer = index >= tensors.parameters;
      const at::Tensor& tensor =
          is_buffer ? impl_->model.buffers[index - tensors.parameters].tensor : impl_->model.parameters[index].tensor;
      const auto in_lane = is_buffer ? impl_->parameter_index.end() : impl_->parameter_index.find(name);
      destinations.push_back(
          in_lane == impl_->parameter_index.end()
              ? engine::whole_destination(name, key, tensor)
              : engine::part_destination(name, key, tensor.sizes(),
                                         zero::part_of(*impl_->store, static_cast<int>(in_lane->second))));
    }
    engine::fill(files, destinations);
    loaded.bytes_read = static_cast<int64_t>(files.bytes_read());
  });
  zero::gather_parts(*impl_->store, impl_->data());
  impl_->follow_loaded_weights();
  return loaded;
}

}  // namespace detail
}  // namespace deepspeed
