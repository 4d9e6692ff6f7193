// Checks and words.
#include "comm/collective_arguments.h"

#include <c10/core/ScalarType.h>

namespace deepspeed::comm {

const at::Tensor& only(const std::vector<at::Tensor>& tensors, const char* what) {
  require(tensors.size() == 1, what, ": got ", tensors.size(), " tensors, expected 1");
  return tensors[0];
}

void require_alike(const at::Tensor& a, const at::Tensor& b, int64_t times, const char* what) {
  require(a.scalar_type() == b.scalar_type() && a.numel() == b.numel() * times, what, ": got ", a.numel(), " ",
          c10::toString(a.scalar_type()), " elements for ", b.numel(), " ", c10::toString(b.scalar_type()),
          " ones, expected the same type and ", times == 1 ? "as many" : concat(times, " times as many"));
}

int root_of(int64_t root, int size, const char* what) {
  require(root >= 0 && root < size, what, ": got root ", root, " of ", size, " ranks");
  return static_cast<int>(root);
}

std::string amount(const at::Tensor& tensor) {
  return concat(tensor.numel(), " ", c10::toString(tensor.scalar_type()));
}

std::string amount(const std::vector<at::Tensor>& tensors) {
  std::string text;
  for (const at::Tensor& tensor : tensors) text += (text.empty() ? "" : " + ") + amount(tensor);
  return text;
}

}  // namespace deepspeed::comm
