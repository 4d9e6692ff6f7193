// Which bytes of a model's safetensors files a rank needs, and where they go: names and integers only, no file, no
// data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/box.h"

namespace deepspeed::checkpoint {

/// A tensor of the files: its bytes start at byte `offset` of file `file`.
struct StoredTensor {
  size_t file = 0;
  io::ElementType type = io::ElementType::kFloat32;
  std::vector<int64_t> shape;
  uint64_t offset = 0;
};

/// By key.
using StoredTensors = std::map<std::string, StoredTensor>;

/// Which key holds each tensor of a model. `base_prefix` ("model") may stand before the keys or before the names and
/// be absent on the other side, as where a model with a head loads the files of one without.
struct NameMatch {
  std::vector<std::string> keys;        ///< as many as tensors; "" where the files have none
  std::vector<std::string> unexpected;  ///< keys that no tensor asks for
};

/// `names`: of each tensor, all that it has (tied parameters have several); the first that the files have counts.
NameMatch match_names(const std::vector<std::vector<std::string>>& names, const StoredTensors& stored,
                      const std::string& base_prefix);

/// Elements `range` of the tensor `name`, which the files have as `key`; they are to become `type`.
struct WantedRange {
  std::string name;
  std::string key;
  std::vector<int64_t> shape;
  io::ElementType type = io::ElementType::kFloat32;
  Range range;
};

/// `numel` elements of type `from` from byte `offset` of file `file` on, for wanted range `wanted`, as type `to`.
struct PretrainedRead {
  size_t wanted = 0;
  size_t file = 0;
  uint64_t offset = 0;
  int64_t numel = 0;
  io::ElementType from = io::ElementType::kFloat32;
  io::ElementType to = io::ElementType::kFloat32;
};

/// In the order in which the bytes lie in the files; empty ranges need none. `where` names the files in errors. Throws
/// CheckpointError for a key that is not there, another shape or a type that cannot be converted.
std::vector<PretrainedRead> plan_reads(const std::vector<WantedRange>& wanted, const StoredTensors& stored,
                                       const std::string& where);

}  // namespace deepspeed::checkpoint
