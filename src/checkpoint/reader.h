// Reads a checkpoint, written by any number of ranks with any cuts, piece by piece as the caller needs it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/intersect.h"
#include "checkpoint/manifest.h"
#include "io/safetensors_reader.h"

namespace deepspeed::checkpoint {

/// The tags in `folder` that are complete (manifest sound, all files there with their sizes), newest first.
std::vector<std::string> complete_tags(const std::filesystem::path& folder);

/// The first of complete_tags().
std::optional<std::string> newest_complete_tag(const std::filesystem::path& folder);

/// Owns the manifest and maps data files when they are first touched. Never falls back to another tag. Every tensor's
/// checksum is compared before its first use. One thread at a time.
class CheckpointReader {
 public:
  /// Without a tag the one that `latest` names. Throws CheckpointError, which names the complete tags that there are
  /// and how to load the newest, where folder, `latest` or tag are missing or the checkpoint is torn.
  static CheckpointReader open(const std::filesystem::path& folder, std::optional<std::string> tag = std::nullopt);

  const std::string& tag() const { return tag_; }
  const std::filesystem::path& path() const { return path_; }
  int world() const { return manifest_.world; }
  /// The client's and the engine's state, typed JSON.
  const Json& state() const { return manifest_.state; }
  const Manifest& manifest() const { return manifest_; }

  /// Canonical names, in the order of the manifest, each once; aliases are accepted wherever a name is taken.
  const std::vector<std::string>& names() const { return names_; }
  /// The states of a tensor, in the order of the manifest; empty where the name is unknown.
  std::vector<std::string> states(const std::string& name) const;
  bool has(const std::string& name, const std::string& state) const;

  /// Throw CheckpointError where the checkpoint has no such tensor.
  const std::vector<int64_t>& global_shape(const std::string& name, const std::string& state) const;
  io::ElementType type(const std::string& name, const std::string& state) const;

  /// Puts elements `range` of `box` into `out` (host memory, range.numel() elements of `out_type`), converted where
  /// both are float types. Throws ValueError for a box outside the shape, CheckpointError for elements that are not
  /// there, a conversion that is not known or damaged data; `out` is then partly written.
  void read(const std::string& name, const std::string& state, const Box& box, Range range, void* out,
            io::ElementType out_type);

  /// A whole tensor's bytes, in its stored type.
  std::vector<std::byte> read_whole(const std::string& name, const std::string& state);

  /// Reads everything and returns a sentence for each damaged file or tensor; empty where all is sound.
  std::vector<std::string> find_damage();

 private:
  CheckpointReader(std::filesystem::path folder, std::string tag, std::filesystem::path path, Manifest manifest);

  struct Tensor {
    std::vector<size_t> entries;  // indices into the manifest's
    std::vector<Piece> pieces;    // the same entries' boxes and ranges
  };

  const std::string& resolve(const std::string& name) const;
  const Tensor& find(const std::string& name, const std::string& state) const;
  io::SafetensorsReader& data_file(const std::string& file);
  const std::byte* verified_data(size_t entry_index);

  std::filesystem::path folder_;
  std::string tag_;
  std::filesystem::path path_;
  Manifest manifest_;
  std::vector<std::string> names_;
  std::map<std::pair<std::string, std::string>, Tensor> tensors_;
  std::map<std::string, std::unique_ptr<io::SafetensorsReader>> files_;
  std::vector<bool> is_verified_;  // an entry each
};

}  // namespace deepspeed::checkpoint
