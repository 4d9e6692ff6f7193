// The weights of a checkpoint without an engine, for programs that only want those.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "deepspeed/export.h"

namespace deepspeed::detail {

/// One tensor, as read() gives it.
struct CheckpointWeight {
  std::string name;
  std::vector<int64_t> shape;
  c10::ScalarType type = c10::ScalarType::Float;
  std::string owner;  ///< the name that it is tied to; its own where it is not
  bool is_buffer = false;
  bool is_trained = false;  ///< the checkpoint has a master weight or moments of it
};

/// An open checkpoint. Tensors are read one by one, when they are asked for. One thread at a time.
class DS_API CheckpointWeights {
 public:
  /// FOLDER/TAG; without a tag the one that `latest` names. Throws CheckpointError.
  CheckpointWeights(const std::string& folder, const std::optional<std::string>& tag);
  ~CheckpointWeights();

  /// Parameters and buffers in the order of the checkpoint, then tied names.
  const std::vector<CheckpointWeight>& list() const;

  /// A whole tensor, a new one in each call: float types as float32, from the master weight where there is one. Throws
  /// CheckpointError where there is no such name or its data is damaged.
  at::Tensor read(const std::string& name);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// All of them at once. Tied names share a tensor.
DS_API std::vector<std::pair<std::string, at::Tensor>> read_weights(const std::string& folder,
                                                                    const std::optional<std::string>& tag);

}  // namespace deepspeed::detail
