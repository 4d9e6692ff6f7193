// Training a torch::nn module with ZeRO from C++.
//
//   deepspeed::init_distributed();
//   GPT model(config);
//   auto engine = deepspeed::initialize(model, "ds_config.json");
//   for (auto& batch : *loader) {
//     auto loss = engine->forward(batch.data, batch.target);
//     engine->backward(loss);
//     engine->step();
//   }
//   engine->save_checkpoint("out");
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <torch/nn/module.h>

#include "deepspeed/detail/training_engine.h"
#include "deepspeed/distributed.h"
#include "deepspeed/export.h"
#include "deepspeed/pretrained.h"

namespace deepspeed {

/// One optimizer group: the numbers that differ from the config's, by name ("lr", "weight_decay", ...).
using GroupValues = detail::GroupValues;

struct InitializeOptions {
  /// The group of each parameter, -1 for none. Absent: all in group 0.
  std::function<int(const std::string& name, const at::Tensor& parameter)> group_of;
  /// One entry a group. Absent: one group with the config's numbers.
  std::vector<GroupValues> groups;
};

namespace detail {
/// Walks the module: parameters once each (tied ones under their first name), buffers, module tree.
DS_API ModelDescription describe(const torch::nn::Module& module, const InitializeOptions& options);
/// Those that the module has now.
DS_API std::vector<BufferDescription> describe_buffers(const torch::nn::Module& module);
}  // namespace detail

/// What does not depend on the module's type. Owns the training state; the derived class keeps the module. See
/// detail/training_engine.h for threads and errors: one thread at a time, the same calls on every rank.
class DS_API EngineBase {
 public:
  EngineBase(const torch::nn::Module& module, const std::string& config, const InitializeOptions& options);
  virtual ~EngineBase();

  /// Gradients of `loss`, divided by gradient_accumulation_steps, reduced over the ranks when their time has come.
  void backward(const at::Tensor& loss);
  /// At the end of each accumulation: clips, steps, gathers. Otherwise only counts. True where the optimizer stepped.
  /// Rank 0 prints what wall_clock_breakdown asks for.
  bool step();

  /// Forgets gradients that another engine's backward through this model left (a GAN's discriminator), before this
  /// model's own first backward of a step. Once a step() was counted short of the boundary, nothing. Every rank calls
  /// it.
  void zero_grad();

  bool is_gradient_accumulation_boundary() const;
  /// The gradient norm of the last step, before clipping.
  std::optional<double> global_grad_norm() const;
  double learning_rate() const;
  int64_t global_steps() const;
  int64_t train_micro_batch_size_per_gpu() const;

  /// FOLDER/TAG and `latest`; the tag defaults to global_step{N}. `client_state`: JSON of the program's own, "" for
  /// none.
  void save_checkpoint(const std::string& folder, const std::string& tag = "", const std::string& client_state = "");
  /// Any stage and world size; the tag defaults to what `latest` names. Returns the client state's JSON.
  std::string load_checkpoint(const std::string& folder, const std::string& tag = "");

  /// Replaces the model's weights by those of a pretrained model, at any stage: every rank reads its own share of the
  /// files. Before the first step: optimizer state stays as it is. See pretrained.h. Collective. Where it throws,
  /// weights may be replaced in part and differ between ranks: load again, or destroy the engine.
  LoadedPretrained load_pretrained(const std::string& folder, const LoadPretrainedOptions& options = {});

  /// Everything else.
  detail::TrainingEngine& core() { return *core_; }

 protected:
  void begin_forward();
  void end_forward();

 private:
  const torch::nn::Module& module_;
  std::unique_ptr<detail::TrainingEngine> core_;
};

/// The engine of one module type. `Model` is a module holder (TORCH_MODULE) or a std::shared_ptr to a module.
template <class Model>
class Engine final : public EngineBase {
 public:
  Engine(Model model, const std::string& config, const InitializeOptions& options)
      : EngineBase(*model, config, options), model_(std::move(model)) {}

  template <class... Arguments>
  auto forward(Arguments&&... arguments) {
    const ForwardScope scope(*this);
    return model_->forward(std::forward<Arguments>(arguments)...);
  }

  Model& module() { return model_; }

 private:
  struct ForwardScope {
    explicit ForwardScope(Engine& engine) : engine(engine) { engine.begin_forward(); }
    ~ForwardScope() { engine.end_forward(); }
    ForwardScope(const ForwardScope&) = delete;
    ForwardScope& operator=(const ForwardScope&) = delete;
    Engine& engine;
  };

  Model model_;
};

/// `config`: path of a ds_config.json, or its text. Collective; broadcasts rank 0's parameters.
template <class Model>
std::shared_ptr<Engine<Model>> initialize(Model model, const std::string& config,
                                          const InitializeOptions& options = {}) {
  return std::make_shared<Engine<Model>>(std::move(model), config, options);
}

}  // namespace deepspeed
