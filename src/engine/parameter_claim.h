// Which parameters a live engine holds: two engines on one parameter would each move it into their own lanes, and only
// one of them would be heard by its gradients.
#pragma once

#include <vector>

#include "tensor/named_parameter.h"

namespace deepspeed::engine {

/// Holds parameters until it is released or destroyed. Safe from any thread. What it guards is one set a process: a
/// parameter is known by its TensorImpl, whoever describes it.
class ParameterClaim {
 public:
  ParameterClaim() = default;
  ~ParameterClaim() { release(); }
  ParameterClaim(const ParameterClaim&) = delete;
  ParameterClaim& operator=(const ParameterClaim&) = delete;

  /// All of them or, with a ValueError that names the first that another engine holds, none.
  void claim(const std::vector<tensor::NamedParameter>& parameters);
  void release() noexcept;

 private:
  std::vector<const void*> held_;
};

/// Whether a live engine holds this parameter.
bool is_claimed(const at::Tensor& parameter);

}  // namespace deepspeed::engine
