// A pretrained model's safetensors files for front ends that match names themselves.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "deepspeed/export.h"

namespace deepspeed::detail {

/// What is to get the values of `key`. `tensor` is an ordinary one, which gets all of them, or a parameter that is
/// sharded (detail/sharded_parameters.h), of which this rank's shard gets its own; shape and type are its.
struct PretrainedTarget {
  std::string name;
  std::string key;
  at::Tensor tensor;
};

struct PretrainedMatch {
  std::vector<std::string> keys;        ///< of each tensor; "" where the files have none
  std::vector<std::string> unexpected;  ///< keys that no tensor asks for
};

/// Open files of which only the headers were read. One thread at a time. Throws CheckpointError and IoError.
class DS_API PretrainedFiles {
 public:
  /// The files of a folder, as its index says.
  static PretrainedFiles open(const std::string& folder);
  explicit PretrainedFiles(const std::vector<std::string>& paths);
  PretrainedFiles(PretrainedFiles&&) noexcept;
  PretrainedFiles& operator=(PretrainedFiles&&) noexcept;
  ~PretrainedFiles();

  std::vector<std::string> keys() const;

  /// `names`: all names of each tensor, the first that the files have counts; `base_prefix` may stand before the names
  /// or the keys and be absent on the other side ("": not looked for).
  PretrainedMatch match(const std::vector<std::vector<std::string>>& names, const std::string& base_prefix) const;

  /// Reads what this rank needs and no more. Collective where a target is sharded: where it fails on one rank it does
  /// on all; some values may be replaced by then.
  void fill(const std::vector<PretrainedTarget>& targets);

  /// By this rank so far, headers included.
  int64_t bytes_read() const;

 private:
  struct Impl;
  explicit PretrainedFiles(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace deepspeed::detail
