// The C++ front door: describes a torch::nn module and drives the training engine.
#include "deepspeed/engine.h"

#include <c10/util/Type.h>

#include <iostream>
#include <unordered_map>

#include "deepspeed/error.h"

namespace deepspeed {
namespace detail {
namespace {

std::string class_name_of(const torch::nn::Module& module) {
  const std::string& full = module.name();
  const size_t colon = full.rfind("::");
  std::string name = colon == std::string::npos ? full : full.substr(colon + 2);
  const std::string suffix = "Impl";
  if (name.size() > suffix.size() && name.ends_with(suffix)) name.resize(name.size() - suffix.size());
  return name;
}

}  // namespace

std::vector<BufferDescription> describe_buffers(const torch::nn::Module& module) {
  std::vector<BufferDescription> buffers;
  for (const auto& item : module.named_buffers()) buffers.push_back({item.key(), item.value()});
  return buffers;
}

ModelDescription describe(const torch::nn::Module& module, const InitializeOptions& options) {
  ModelDescription description;
  description.groups = options.groups;
  std::unordered_map<const void*, std::string> seen;
  for (const auto& item : module.named_parameters()) {
    const auto [first, added] = seen.try_emplace(item.value().unsafeGetTensorImpl(), item.key());
    if (!added) {
      description.aliases[item.key()] = first->second;
      continue;
    }
    description.parameters.push_back(
        {item.key(), item.value(), options.group_of ? options.group_of(item.key(), item.value()) : 0});
  }
  description.buffers = describe_buffers(module);
  const auto add = [&](const std::string& path, const torch::nn::Module& part) {
    const std::string name = class_name_of(part);
    std::string class_path = part.name();
    if (class_path.ends_with("Impl")) class_path.resize(class_path.size() - 4);
    description.modules.push_back({path, name, name == "ModuleList" || name == "Sequential", std::move(class_path)});
  };
  add("", module);
  for (const auto& item : module.named_modules("", false)) add(item.key(), *item.value());
  return description;
}

}  // namespace detail

EngineBase::EngineBase(const torch::nn::Module& module, const std::string& config, const InitializeOptions& options)
    : module_(module),
      core_(std::make_unique<detail::TrainingEngine>(
          detail::describe(module, options), config, detail::new_process_group(),
          detail::needs_gather_group(config) ? detail::new_process_group() : nullptr)) {}

EngineBase::~EngineBase() = default;

void EngineBase::begin_forward() { core_->before_forward(0); }
void EngineBase::end_forward() { core_->after_forward(); }
void EngineBase::backward(const at::Tensor& loss) { core_->backward(loss, false, true); }
bool EngineBase::step() {
  const detail::StepOutcome outcome = core_->step({});
  if (!outcome.report.empty() && core_->rank() == 0) std::cout << outcome.report << std::endl;
  return outcome.applied;
}
void EngineBase::zero_grad() { core_->zero_grad(); }
bool EngineBase::is_gradient_accumulation_boundary() const { return core_->is_gradient_accumulation_boundary(); }
std::optional<double> EngineBase::global_grad_norm() const { return core_->global_grad_norm(); }
double EngineBase::learning_rate() const { return core_->groups().front().at("lr"); }
int64_t EngineBase::global_steps() const { return core_->progress().global_steps; }
int64_t EngineBase::train_micro_batch_size_per_gpu() const { return core_->train_micro_batch_size_per_gpu(); }

void EngineBase::save_checkpoint(const std::string& folder, const std::string& tag, const std::string& client_state) {
  core_->set_buffers(detail::describe_buffers(module_));
  core_->save_checkpoint(folder, tag.empty() ? concat("global_step", global_steps()) : tag, client_state, {}, true,
                         false);
}

std::string EngineBase::load_checkpoint(const std::string& folder, const std::string& tag) {
  detail::LoadOptions options;
  if (!tag.empty()) options.tag = tag;
  core_->set_buffers(detail::describe_buffers(module_));
  return core_->load_checkpoint(folder, options).client_state;
}

}  // namespace deepspeed
