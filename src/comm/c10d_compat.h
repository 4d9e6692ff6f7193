// Two collectives whose names changed in torch 2.13.
#pragma once

#include <torch/version.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <vector>

namespace deepspeed::comm {

#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 13
inline c10::intrusive_ptr<c10d::Work> reduce_scatter_lanes(c10d::ProcessGroup& group, std::vector<at::Tensor>& owns,
                                                           std::vector<at::Tensor>& wholes) {
  return group.reduce_scatter_single_coalesced(owns, wholes);
}
inline c10::intrusive_ptr<c10d::Work> all_gather_lanes(c10d::ProcessGroup& group, std::vector<at::Tensor>& wholes,
                                                       std::vector<at::Tensor>& owns) {
  return group.all_gather_single_coalesced(wholes, owns);
}
#else
inline c10::intrusive_ptr<c10d::Work> reduce_scatter_lanes(c10d::ProcessGroup& group, std::vector<at::Tensor>& owns,
                                                           std::vector<at::Tensor>& wholes) {
  return group.reduce_scatter_tensor_coalesced(owns, wholes);
}
inline c10::intrusive_ptr<c10d::Work> all_gather_lanes(c10d::ProcessGroup& group, std::vector<at::Tensor>& wholes,
                                                       std::vector<at::Tensor>& owns) {
  return group.allgather_into_tensor_coalesced(wholes, owns);
}
#endif

}  // namespace deepspeed::comm
