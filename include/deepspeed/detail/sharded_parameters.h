// Parameters that are sharded over the ranks (ZeRO stage 3), by tensor: whole values for a while, and sharding while a
// model is built. Calls are collective: every rank makes the same ones in the same order.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>

#include "deepspeed/export.h"

namespace c10d {
class ProcessGroup;
}

namespace deepspeed::detail {

/// Whether `tensor` is a sharded parameter of a live engine or of ShardedInit.
DS_API bool is_sharded(const at::Tensor& tensor);

/// The parameter that a sharded `tensor` is, or is a view of (detach(), what state_dict() has); else `tensor` itself.
DS_API at::Tensor parameter_of(const at::Tensor& tensor);

/// Whether the process has any such parameter.
DS_API bool is_any_sharded();

/// Gives each sharded parameter a buffer of its own with its whole value until let_go(), which sends rank `root`'s
/// values to all (root >= 0) and keeps what was written. May nest. Tensors that are not sharded are passed over.
DS_API void hold(const std::vector<at::Tensor>& parameters);
DS_API void let_go(const std::vector<at::Tensor>& parameters, int root);

/// Shards parameters as soon as they exist, before there is an engine.
class DS_API ShardedInit {
 public:
  /// `dtype`: "float32", "bfloat16", "float16", or "" to keep each parameter's own. Two groups of its own; null where
  /// there is one rank.
  ShardedInit(c10::intrusive_ptr<c10d::ProcessGroup> data_group, c10::intrusive_ptr<c10d::ProcessGroup> gather_group,
              const std::string& dtype, c10::Device device);
  ~ShardedInit();

  /// Takes rank 0's values; afterwards this rank keeps its shards.
  void add(const std::vector<std::pair<std::string, at::Tensor>>& parameters);

  /// Takes parameters whose values come later (PretrainedFiles::fill): only their shapes, types and device count, and
  /// they may be expanded from one element. Requires more than one rank.
  void add_without_values(const std::vector<std::pair<std::string, at::Tensor>>& parameters);

  /// Frees the shards of parameters that an engine took over; how many are still kept.
  int64_t sweep();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace deepspeed::detail
