// A parameter as a front end hands it in.
#pragma once

#include <string>

#include <ATen/core/Tensor.h>

namespace deepspeed::tensor {

/// `tensor` shares its TensorImpl with the module's parameter. `group` is the optimizer group, -1: in none.
struct NamedParameter {
  std::string name;
  at::Tensor tensor;
  int group = -1;
};

}  // namespace deepspeed::tensor
