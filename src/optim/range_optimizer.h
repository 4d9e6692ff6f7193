// Optimizers on ranges of lanes: the engine owns the flat buffers, an optimizer updates one owned range in one pass.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

#include "optim/hyperparameters.h"

namespace deepspeed::optim {

/// Elements [begin, end) of the owned range: part or whole of one parameter, in one group.
struct Segment {
  int64_t begin = 0;
  int64_t end = 0;
  int group = 0;      ///< index into the groups given to step()
  int64_t step = 1;   ///< this update's number, from 1
  int parameter = 0;  ///< index into the per-parameter norms; used by LAMB only
};

/// What a rank owns of one lane. All tensors are 1-D, contiguous, of equal length and on one device; they are borrowed.
struct LaneShard {
  at::Tensor master;    ///< float32
  at::Tensor gradient;  ///< float32, bfloat16 or float16; only read
  at::Tensor compute;   ///< bfloat16 or float16: receives the new weights rounded; undefined: master is the parameter
  std::vector<at::Tensor> state;      ///< float32, in the order of state_specs()
  std::span<const Segment> segments;  ///< ascending, disjoint; elements in none are not touched (padding, frozen)
};

/// One state tensor that the engine allocates, saves and loads.
struct StateSpec {
  std::string name;
  double initial_value = 0.0;
};

enum class Needs {
  kElementwise,   ///< any range can be updated alone
  kPerParameter,  ///< norms of whole parameters, see ParameterNormOptimizer
};

/// kProven: our kernels on the CPU, plain LibTorch operations elsewhere: the kernels for GPUs are tested by
/// tests/optim/cuda_lanes_test.cpp, which has not run on one yet. kKernels: also those, where the build has them.
/// kTorch: always LibTorch operations.
enum class Implementation { kProven, kKernels, kTorch };

/// Holds no tensors and no step counts, so one object serves many lanes. Calls on different lanes may overlap.
class RangeOptimizer {
 public:
  virtual ~RangeOptimizer();
  virtual std::string_view name() const = 0;
  virtual Needs needs() const = 0;
  virtual std::vector<StateSpec> state_specs() const = 0;

  /// Updates master, state and compute of one lane in one pass, on the threads of torch.
  /// Every gradient is multiplied by `gradient_scale` first (1 / loss scale x clip factor).
  /// The bits do not depend on the number of threads, nor on how a lane is cut into ranges but for LAMB, whose norms
  /// are summed segment by segment. Throws ValueError that names the tensor that does not fit.
  virtual void step(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale) const = 0;

  /// Before the first step; the numbers agree to rounding, not to the bit.
  void set_implementation(Implementation implementation) { implementation_ = implementation; }

 protected:
  bool uses_kernels(const LaneShard& lane) const;

 private:
  Implementation implementation_ = Implementation::kProven;
};

/// An optimizer that scales each parameter's update by norms over the whole parameter (LAMB).
/// For several lanes and ranks: prepare() all lanes, add weight_squares and update_squares over the ranks that share
/// the parameters, then apply() all lanes. step() does it all for one lane whose parameters are whole on this rank.
class ParameterNormOptimizer : public RangeOptimizer {
 public:
  Needs needs() const final { return Needs::kPerParameter; }

  /// First pass: updates the state, writes the direction into `scratch` (float32, as long as the lane) and adds the
  /// squares of weights and directions to entry Segment::parameter of both spans.
  virtual void prepare(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale,
                       const at::Tensor& scratch, std::span<double> weight_squares,
                       std::span<double> update_squares) const = 0;

  /// Second pass: updates master and compute. The spans hold sums of squares over whole parameters.
  virtual void apply(const LaneShard& lane, std::span<const Hyperparameters> groups, const at::Tensor& scratch,
                     std::span<const double> weight_squares, std::span<const double> update_squares) const = 0;

  void step(const LaneShard& lane, std::span<const Hyperparameters> groups, double gradient_scale) const override;
};

/// `type` in any case: adam, adamw, sgd, adagrad, lion, lamb. `defaults` decide which states exist (momentum_buffer
/// where any group uses momentum, so pass the largest; max_exp_avg_sq with amsgrad; the start value of sum).
/// Throws ConfigError that lists the known types.
std::unique_ptr<RangeOptimizer> make_optimizer(std::string_view type, const Hyperparameters& defaults);

}  // namespace deepspeed::optim
