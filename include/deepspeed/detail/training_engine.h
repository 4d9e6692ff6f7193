// The engine behind both front doors: `deepspeed::Engine` for C++ modules and `import deepspeed` for Python ones. It
// sees modules only through descriptions and events. C++ programs use deepspeed/engine.h.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>

#include "deepspeed/export.h"
#include "deepspeed/pretrained.h"

namespace c10d {
class ProcessGroup;
}

namespace deepspeed::comm {
class Communicator;
}

namespace deepspeed::detail {

/// A parameter, once: tied ones under the name of their first registration. `group` is its optimizer group, -1: in none
/// (then it is treated as frozen, with a warning that names it).
struct ParameterDescription {
  std::string name;
  at::Tensor tensor;
  int group = 0;
};

struct BufferDescription {
  std::string name;
  at::Tensor tensor;
};

/// A module of the tree; `is_list`: a ModuleList or Sequential. "" is the root's path.
struct ModuleDescription {
  std::string path;
  std::string class_name;
  bool is_list = false;
  std::string class_path{};  ///< "package.file.Class" or "space::Class"; "": only the name is known
};

/// One optimizer group's numbers by name: lr, weight_decay, beta1, beta2, eps, momentum, ... (flags as 0 or 1).
using GroupValues = std::map<std::string, double>;

struct ModelDescription {
  std::vector<ParameterDescription> parameters;  ///< in registration order
  std::vector<BufferDescription> buffers;        ///< persistent ones
  std::vector<ModuleDescription> modules;
  std::map<std::string, std::string> aliases;  ///< a tied parameter's other names: alias to name
  std::vector<std::string> leaf_modules;       ///< paths that the user declared to be one unit each
  std::vector<std::string> no_split_classes;   ///< Hugging Face's _no_split_modules
  std::string optimizer_type;                  ///< of the user's optimizer object; "": the config's
  std::vector<GroupValues> groups;             ///< of the user's optimizer; empty: one group with the config's numbers
};

/// A whole parameter of an optimizer that runs outside our kernels, on the rank that owns it. `master` is float32, the
/// same tensor in every step, and is updated in place; `gradient` is scaled and clipped.
struct OwnedParameter {
  std::string name;
  at::Tensor master;
  at::Tensor gradient;
};

/// One state tensor of such an optimizer, for checkpoints; any shape.
struct OwnedState {
  std::string name;
  std::string key;
  at::Tensor value;
};

/// ModelDescription::optimizer_type of such an optimizer.
inline constexpr const char* kExternalOptimizer = "external";

struct StepOutcome {
  bool at_boundary = false;  ///< false: only counted a micro-batch
  bool applied = false;      ///< the optimizer stepped; false at a boundary: overflow
  std::string report{};      ///< of wall_clock_breakdown, "" mostly; a line for front ends to print on rank 0
};

/// What carries an engine's collectives and times its steps, where they are not made from process groups: tests.
struct Transport {
  std::unique_ptr<comm::Communicator> data;     ///< the ranks that see different samples
  std::unique_ptr<comm::Communicator> gathers;  ///< the same ranks once more, for the gathers of stage 3
  std::function<int64_t()> clock;               ///< nanoseconds, for timelines, from any thread
};

/// Counters and numbers that front ends show.
struct Progress {
  int64_t micro_steps = 0;
  int64_t global_steps = 0;
  int64_t global_samples = 0;
  int64_t skipped_steps = 0;
};

/// What one rank alone wants back: random number generators, its loader's position. `json` is typed JSON, "": nothing;
/// `tensors` are those that it refers to, under names that no other rank uses.
struct RankState {
  std::string json;
  std::map<std::string, at::Tensor> tensors;
};

/// What load_checkpoint found.
struct LoadedCheckpoint {
  std::string tag;
  std::string path;
  std::string client_state;                   ///< typed JSON, as it was given to save
  std::map<std::string, at::Tensor> tensors;  ///< that the client state refers to
  std::vector<OwnedState> owned_states;       ///< of the external optimizer, of parameters that this rank owns
  int world = 1;                              ///< how many ranks saved
  RankState rank_state;                       ///< this rank's; empty where another number of ranks saved
};

struct LoadOptions {
  std::optional<std::string> tag;  ///< absent: what `latest` names
  bool strict = true;              ///< every parameter must be in the checkpoint and the other way round
  bool module_only = false;        ///< weights and buffers, no counters
  bool optimizer_states = true;    ///< also master weights, moments and the loss scaler
};

/// One model in training on one rank. Owns lanes, hooks and communicators; parameters get ordinary storages back when
/// it goes. Calls come from one thread at a time; all that wait release nothing themselves, so a Python front end lets
/// the GIL go before them. All ranks make the same calls in the same order. Errors are deepspeed::Error.
class DS_API TrainingEngine {
 public:
  /// `config`: path, JSON text or base64. `data_group`: the ranks that see different samples, used by nobody else;
  /// null: one rank. `gather_group`: the same ranks once more, for the gathers of stage 3. Broadcasts rank 0's
  /// parameters and buffers.
  TrainingEngine(ModelDescription model, const std::string& config, c10::intrusive_ptr<c10d::ProcessGroup> data_group,
                 c10::intrusive_ptr<c10d::ProcessGroup> gather_group = {});
  /// Takes what `transport` holds.
  TrainingEngine(ModelDescription model, const std::string& config, Transport& transport);
  ~TrainingEngine();
  TrainingEngine(const TrainingEngine&) = delete;
  TrainingEngine& operator=(const TrainingEngine&) = delete;

  // --- events ---
  /// A module use begins; `module` indexes ModelDescription::modules. Without gradients only module 0 matters.
  void before_forward(int module);
  /// The root's forward is over. Only timelines need it: see wants_forward_end().
  void after_forward();
  bool wants_forward_end() const;
  /// Whether before_forward of inner modules still matters (until the order of reductions is agreed).
  bool wants_module_events() const;

  /// What to multiply a loss by before a plain `loss.backward()`: the loss scale.
  double loss_scale() const;
  /// Runs backward of `loss` with the loss scale and waits until this micro-batch's reductions are through.
  /// `scale_wrt_gas`: gradients are divided by gradient_accumulation_steps. Where backward itself throws, the
  /// accumulated gradients are dropped and the exception goes on.
  void backward(const at::Tensor& loss, bool retain_graph, bool scale_wrt_gas);
  /// The same around a backward that the caller runs itself.
  void begin_backward(bool scale_wrt_gas);
  void end_backward();

  /// At a boundary: clips, steps, gathers; `groups` are the optimizer's present numbers (empty: the engine's own).
  StepOutcome step(const std::vector<GroupValues>& groups);

  /// Forgets what the backwards since the last boundary left, as a torch optimizer's zero_grad() does: gradients that
  /// came from another engine's backward through this model. Nothing once a micro-batch of the window was counted by
  /// step(): accumulation goes on. Every rank calls it.
  void zero_grad();

  /// For kExternalOptimizer: steps the parameters that this rank owns. Called inside step() on every rank.
  void set_external_step(std::function<void(const std::vector<OwnedParameter>&)> step);

  bool is_gradient_accumulation_boundary() const;
  /// Overrides the count of micro-batches until it is set again.
  void set_gradient_accumulation_boundary(bool is_boundary);
  /// Between the two, gradients stay local at every stage.
  void enter_no_sync();
  void exit_no_sync();

  // --- numbers ---
  const Progress& progress() const;
  void set_progress(const Progress& progress);
  /// Of the last boundary step; nothing where neither clipping nor an overflow check needed it.
  std::optional<double> global_grad_norm() const;
  bool has_overflowed() const;
  int rank() const;
  int world_size() const;
  int64_t train_batch_size() const;
  int64_t train_micro_batch_size_per_gpu() const;
  int64_t gradient_accumulation_steps() const;
  void set_gradient_accumulation_steps(int64_t steps);
  std::vector<GroupValues> groups() const;
  std::string effective_config() const;
  /// Bytes that this rank holds by role (parameters, gradients, states, slots, scratch), and what the formula says of
  /// all but scratch: buffers that LAMB and external optimizers keep.
  std::map<std::string, double> memory() const;
  /// Collectives of whole units since the present layout began: "gathers" of parameters, how many of those an operator
  /// "waited_for", "reductions" of gradients.
  std::map<std::string, int64_t> collectives() const;
  std::vector<std::string> unit_names() const;
  /// Paths of the modules that are one unit each: those of the description, and those that the config names.
  const std::vector<std::string>& leaf_modules() const;

  // --- whole values of sharded things; collective ---
  /// float32, shaped like the parameter; gradients without the loss scale. Undefined tensor: not managed, or no
  /// gradient yet.
  at::Tensor full_fp32_parameter(const std::string& name);
  at::Tensor full_gradient(const std::string& name);
  at::Tensor full_optimizer_state(const std::string& name, const std::string& key);
  void set_full_fp32_parameter(const std::string& name, const at::Tensor& value);
  void set_full_optimizer_state(const std::string& name, const std::string& key, const at::Tensor& value);
  /// Only between the backward that reduced the gradient and step().
  void set_full_gradient(const std::string& name, const at::Tensor& value);
  /// full_gradient() of many parameters at once; parameters that lie together are gathered together.
  std::vector<at::Tensor> full_gradients(const std::vector<std::string>& names);
  std::vector<std::string> optimizer_state_names() const;

  // --- the part that this rank owns ---
  /// Which elements of a parameter, in row-major order, this rank owns: [begin, end), empty where other ranks own them
  /// all, the whole parameter at stage 0. The cut is one of units: ranks own unequal parts of a parameter.
  std::pair<int64_t, int64_t> local_range(const std::string& name) const;
  /// Those elements, flat, float32, gradients without the loss scale; a copy. Undefined as above. Not collective.
  at::Tensor local_fp32_parameter(const std::string& name);
  at::Tensor local_gradient(const std::string& name);
  at::Tensor local_optimizer_state(const std::string& name, const std::string& key);
  /// `value` has as many elements as local_range(). The weight is collective: each rank sets its own part, and what is
  /// whole on every rank is whole again afterwards.
  void set_local_fp32_parameter(const std::string& name, const at::Tensor& value);
  void set_local_gradient(const std::string& name, const at::Tensor& value);
  void set_local_optimizer_state(const std::string& name, const std::string& key, const at::Tensor& value);

  /// Master weights follow weights that were changed in place (16-bit training): where they differ, the master wins at
  /// the next step otherwise.
  void refresh_masters();

  // --- checkpoints; collective ---
  /// The module's present persistent buffers. Modules may replace theirs (`count = count + 1`, to(dtype)), so front
  /// ends call this before each save and load.
  void set_buffers(std::vector<BufferDescription> buffers);
  /// Writes FOLDER/TAG and `latest`. `client_state` is typed JSON (docs/checkpoint.md), its tensors come along; rank
  /// 0's count. So do each rank's `rank_state` and the external optimizer's states on the ranks that own them. Throws
  /// CheckpointError on all ranks where any has gradients that no step has used yet: they are in no checkpoint.
  void save_checkpoint(const std::string& folder, const std::string& tag, const std::string& client_state,
                       const std::map<std::string, at::Tensor>& tensors, bool save_latest, bool exclude_frozen,
                       const std::vector<OwnedState>& owned_states = {}, const RankState& rank_state = {});
  LoadedCheckpoint load_checkpoint(const std::string& folder, const LoadOptions& options);

  /// Each rank reads its shard from a pretrained model's files, at every stage; what is whole on each rank is then
  /// gathered. Master weights are those of the files before they are rounded. Optimizer state and counters stay as they
  /// are, gradients that no step has used are dropped. See pretrained.h.
  LoadedPretrained load_pretrained(const std::string& folder, const LoadPretrainedOptions& options);

  void barrier();

  /// Lets everything go now; the engine only answers questions afterwards. At stage 3 collective: parameters become
  /// whole again. The destructor alone leaves them sharded, with an error that names them when they are touched.
  void destroy();

  /// Another engine may take these parameters over now: it reads their values from this one while it is made. Then
  /// abandon() lets everything go without the other ranks and without touching what was taken over.
  void hand_over();
  void abandon();

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

/// Whether the config asks for what needs TrainingEngine's gather_group.
DS_API bool needs_gather_group(const std::string& config);

/// Reads and checks a config without an engine; throws ConfigError. The text lists every value with its origin.
DS_API std::string check_config(const std::string& config, int data_parallel_size);

}  // namespace deepspeed::detail
