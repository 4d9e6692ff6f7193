// When to copy.
#include "comm/plain_tensors.h"

#include <ATen/ATen.h>
#include <ATen/MemoryOverlap.h>
#include <ATen/core/grad_mode.h>

#include "deepspeed/error.h"

namespace deepspeed::comm {
namespace {

bool is_plain(const at::Tensor& tensor) { return tensor.is_contiguous() && !tensor.is_conj() && !tensor.is_neg(); }

void check(const at::Tensor& tensor) {
  DS_CHECK(tensor.defined() && tensor.layout() == at::kStrided && tensor.device().is_cpu(), NotSupported,
           "[comm.shm] tensor: got ",
           tensor.defined() ? concat(c10::str(tensor.layout()), " on ", tensor.device().str()) : "none",
           ", expected a dense one on the CPU. Choose another backend for others, such as \"gloo\".");
}

}  // namespace

at::Tensor PlainTensors::kept(const at::Tensor& tensor) {
  storages_.push_back(tensor.storage());
  return tensor;
}

at::Tensor PlainTensors::input(const at::Tensor& tensor) {
  check(tensor);
  const at::NoGradGuard no_grad;
  return kept(is_plain(tensor) ? tensor : tensor.resolve_conj().resolve_neg().contiguous());
}

at::Tensor PlainTensors::output(const at::Tensor& tensor) {
  check(tensor);
  if (is_plain(tensor)) return kept(tensor);
  DS_CHECK(at::has_internal_overlap(tensor) != at::MemOverlap::Yes, ValueError, "[comm.shm] tensor: got one of sizes ",
           tensor.sizes(), " and strides ", tensor.strides(), " to write to, some elements of which are one. Give a ",
           "copy of it: tensor.contiguous().");
  const at::NoGradGuard no_grad;
  at::Tensor beside = at::empty(tensor.sizes(), tensor.options());
  copies_.push_back({beside, tensor.detach()});
  return kept(beside);
}

at::Tensor PlainTensors::in_place(const at::Tensor& tensor) {
  at::Tensor plain = output(tensor);
  const at::NoGradGuard no_grad;
  if (!plain.is_alias_of(tensor)) plain.copy_(tensor);
  return plain;
}

}  // namespace deepspeed::comm
