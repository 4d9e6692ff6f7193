// Two collectives whose names changed in torch 2.13.
#pragma once

#include <torch/version.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

namespace deepspeed::comm {

#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 13
inline c10::intrusive_ptr<c10d::Work> reduce_scatter_single(c10d::ProcessGroup& group, at::Tensor& own,
                                                            at::Tensor& whole) {
  return group.reduce_scatter_single(own, whole);
}
inline c10::intrusive_ptr<c10d::Work> all_gather_single(c10d::ProcessGroup& group, at::Tensor& whole, at::Tensor& own) {
  return group.all_gather_single(whole, own);
}
#else
inline c10::intrusive_ptr<c10d::Work> reduce_scatter_single(c10d::ProcessGroup& group, at::Tensor& own,
                                                            at::Tensor& whole) {
  return group._reduce_scatter_base(own, whole);
}
inline c10::intrusive_ptr<c10d::Work> all_gather_single(c10d::ProcessGroup& group, at::Tensor& whole, at::Tensor& own) {
  return group._allgather_base(whole, own);
}
#endif

}  // namespace deepspeed::comm
