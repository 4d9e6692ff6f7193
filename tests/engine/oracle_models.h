// The models of the oracle table: each has one of the traits that break data parallelism.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <torch/nn/module.h>

namespace deepspeed::testing {

/// Where in training a loss is computed: some models branch on it.
struct Moment {
  int rank = 0;
  int step = 0;
};

class OracleModel : public torch::nn::Module {
 public:
  /// Mean over the batch. `x` is [samples, 8] in float32.
  virtual at::Tensor forward(const at::Tensor& x, const Moment& moment) = 0;
  /// Called on every rank before each step: freezing and unfreezing happens here.
  virtual void before_step(int step) {}
};

struct OracleRow {
  std::string name;
  std::function<std::shared_ptr<OracleModel>()> make;
  bool decay_groups = false;  ///< two optimizer groups: biases and norms without weight decay
  bool mixed_dtypes = false;  ///< only without a compute dtype of the config's
};

const std::vector<OracleRow>& oracle_rows();

}  // namespace deepspeed::testing
