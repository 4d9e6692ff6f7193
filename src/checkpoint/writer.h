// Writes a checkpoint: each rank its own file, rank 0 the manifest, which makes it exist.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/manifest.h"
#include "checkpoint/tag_folder.h"

namespace deepspeed::checkpoint {

/// What add() is given: which elements of which tensor's state.
struct EntryDescription {
  std::string name;
  std::string state = kWeightState;
  io::ElementType type = io::ElementType::kFloat32;
  std::vector<int64_t> global_shape;
  Box box;
  Range range;
};

/// The description of a tensor that one rank holds whole.
EntryDescription whole_tensor(std::string name, std::string state, io::ElementType type, std::vector<int64_t> shape);

/// One rank's part of one save. It calls no other rank: the caller does, in this order, and agrees on errors at each
/// step:
///   rank 0: prepare()   barrier   all: add()..., write()   gather the reports to rank 0   rank 0: commit()   barrier
/// Until commit() the checkpoint that had the same tag, and `latest`, stay as they were; after a crash or a full disk
/// they are what a reader finds. One thread at a time. Destroying rank 0's writer before commit() removes what was
/// written so far.
class CheckpointWriter {
 public:
  /// Throws ValueError for an impossible tag or rank. `folder` is the same on all ranks.
  CheckpointWriter(std::filesystem::path folder, std::string tag, int rank, int world);
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;
  ~CheckpointWriter();

  /// Rank 0 only: makes the folders and removes what crashed saves left. Throws CheckpointError where another process
  /// is saving the same tag, IoError where the disk refuses.
  void prepare();

  /// `data`: the range's elements in order, on the host, borrowed until write() has returned; may be null if there are
  /// none. Throws ValueError for a box or range that does not fit the shape.
  void add(EntryDescription description, const void* data);

  /// Writes and syncs this rank's file; the returned report is for commit(). Throws IoError.
  std::string write();

  struct Commit {
    std::vector<std::string> reports;             ///< of all ranks, in any order
    Json state = Json::object();                  ///< typed JSON
    std::map<std::string, std::string> aliases;   ///< a tied parameter's other names: alias to owner
    std::map<std::string, std::string> versions;  ///< program to version
    bool update_latest = true;
  };

  /// Rank 0 only: checks that the entries fit together and leave no element out, writes the manifest, makes the
  /// checkpoint appear under its tag in one step, then rewrites `latest`. Throws CheckpointError (nothing changed) or
  /// IoError.
  void commit(const Commit& commit);

  /// Where other files of this checkpoint may be written between prepare() and commit(); commit() syncs names only.
  std::filesystem::path staging() const { return staging_folder(folder_, tag_); }

 private:
  struct Pending {
    Entry entry;
    const void* data;
  };

  Manifest make_manifest(const Commit& commit) const;
  void check_files(const Manifest& manifest) const;

  std::filesystem::path folder_;
  std::string tag_;
  int rank_;
  int world_;
  int owner_;
  std::vector<Pending> pending_;
  std::optional<StagingLock> lock_;  // held from prepare() to commit(): rank 0 only
};

}  // namespace deepspeed::checkpoint
