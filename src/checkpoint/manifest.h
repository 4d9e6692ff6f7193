// The manifest of a checkpoint: which element of which tensor lies in which file, with checksums. docs/checkpoint.md
// specifies the text; its first line holds the checksum of all that follows.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/box.h"
#include "checkpoint/typed_json.h"
#include "io/element_type.h"

namespace deepspeed::checkpoint {

inline constexpr int kManifestVersion = 1;
inline constexpr const char* kManifestFile = "manifest.json";

/// States with a meaning of their own; an optimizer's states bear their own names ("exp_avg").
inline constexpr const char* kWeightState = "weight";  ///< a parameter in compute dtype
inline constexpr const char* kMasterState = "master";  ///< its fp32 copy, absent where it is its own master
inline constexpr const char* kBufferState = "buffer";
inline constexpr const char* kExtraState = "extra";  ///< a tensor that typed JSON refers to

/// A range of a box of a tensor's state, stored under `key` of `file`.
struct Entry {
  std::string name;
  std::string state;
  io::ElementType type = io::ElementType::kFloat32;
  std::vector<int64_t> global_shape;
  Box box;
  Range range;
  std::string file;
  std::string key;
  uint32_t crc32c = 0;
};

struct FileRecord {
  uint64_t bytes = 0;
  uint32_t header_crc32c = 0;
};

struct Manifest {
  std::map<std::string, std::string> versions;  ///< of programs, for information: {"deepspeed": "0.1.0"}
  int64_t saved_unix_ms = 0;
  int world = 1;
  std::map<std::string, FileRecord> files;
  std::map<std::string, std::string> aliases;  ///< a tied parameter's other names: alias to owner
  Json state = Json::object();                 ///< typed JSON
  std::vector<Entry> entries;
};

/// What one rank wrote, as text that ranks can exchange.
struct RankReport {
  int rank = 0;
  std::string file;
  FileRecord record;
  std::vector<Entry> entries;
};

/// Throws CheckpointError, which starts with `source` and names the entry, where the manifest contradicts itself:
/// boxes outside shapes, two shapes of one tensor, unknown files, owners or tensor references.
void check_manifest(const Manifest& manifest, const std::string& source);

/// Throws CheckpointError that names up to five tensors of which elements lie in no entry.
void check_coverage(const Manifest& manifest, const std::string& source);

std::string manifest_text(const Manifest& manifest);

/// Strict, and checked by check_manifest(). `source` (the path) is for messages. Throws CheckpointError.
Manifest parse_manifest(std::string_view text, const std::string& source);

std::string rank_report_text(const RankReport& report);
RankReport parse_rank_report(std::string_view text, const std::string& source);

}  // namespace deepspeed::checkpoint
