// The safetensors files of a model as Hugging Face's save_pretrained writes them: `model.safetensors`, or several that
// `model.safetensors.index.json` names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/pretrained_plan.h"
#include "io/safetensors_file.h"

namespace deepspeed::checkpoint {

/// Owns the open files; nothing but their headers is in memory. One thread at a time.
class PretrainedFiles {
 public:
  /// The files in `folder`. Throws CheckpointError that says what is there instead, or which of the files that the
  /// index names, or which key, is missing.
  static PretrainedFiles open(const std::filesystem::path& folder);

  /// These files. Throws CheckpointError where two hold the same key.
  explicit PretrainedFiles(const std::vector<std::filesystem::path>& paths);

  const StoredTensors& tensors() const { return tensors_; }
  /// The folder, for messages.
  const std::string& where() const { return where_; }

  /// Puts the converted elements into `out`, host memory for read.numel elements of type read.to.
  void read(const PretrainedRead& read, void* out);

  /// So far, headers included.
  uint64_t bytes_read() const { return bytes_read_; }

 private:
  std::vector<io::SafetensorsFile> files_;
  StoredTensors tensors_;
  std::string where_;
  uint64_t bytes_read_ = 0;
};

}  // namespace deepspeed::checkpoint
