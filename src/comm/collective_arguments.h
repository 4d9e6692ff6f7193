// What torch.distributed's arguments have to be, and how errors and agreements name them. For backends.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "deepspeed/error.h"

namespace deepspeed::comm {

template <class... Parts>
void require(bool condition, const Parts&... parts) {
  DS_CHECK(condition, ValueError, "[comm.shm] ", parts...);
}

/// The only one; `what` names the collective in the ValueError, here and below.
const at::Tensor& only(const std::vector<at::Tensor>& tensors, const char* what);

/// The same type, and `a` with `times` as many elements.
void require_alike(const at::Tensor& a, const at::Tensor& b, int64_t times, const char* what);

/// `root` as a rank of `size`.
int root_of(int64_t root, int size, const char* what);

/// "1024 Float", "3 Half + 5 Half": equal on all ranks that mean the same.
std::string amount(const at::Tensor& tensor);
std::string amount(const std::vector<at::Tensor>& tensors);

}  // namespace deepspeed::comm
