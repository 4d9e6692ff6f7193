// Watched tensors in compiled graphs. Kernels that a compiler generates take raw pointers, so that the dispatch key of
// touch.h sees nothing of them. Two operators in the graph say what the dispatcher cannot:
//
//   deepspeed::pin(Tensor(a!)[] weights, Tensor(b!) order) -> ()
//   deepspeed::unpin(Tensor(a!)[] weights, Tensor(b!) order, int[] written) -> ()
//
// Between the two the data of all watched tensors in `weights` (parameters or views of them; others are passed over)
// stays usable. `written` are the places in `weights` of those that were changed in between. Nothing is read or
// written here: the declared mutations keep a compiler from moving uses out of the interval, and intervals with the
// same `order` from overlapping.
#pragma once

#include <ATen/core/Tensor.h>

namespace deepspeed::tensor {

void pin(at::TensorList weights, const at::Tensor& order);
void unpin(at::TensorList weights, const at::Tensor& order, at::IntArrayRef written);

}  // namespace deepspeed::tensor
