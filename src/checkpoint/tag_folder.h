// Folders on disk: TAG holds a complete checkpoint or does not exist; TAG.saving is being written; TAG.replaced is an
// old one for the moment in which it is replaced. [Note: Crash safety] in docs/checkpoint.md has the argument.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace deepspeed::checkpoint {

inline constexpr const char* kLatestFile = "latest";

/// Throws ValueError unless the tag is a relative path without empty, "." or ".." parts, free of our suffixes.
void check_tag(const std::string& tag);

std::filesystem::path tag_folder(const std::filesystem::path& folder, const std::string& tag);
std::filesystem::path staging_folder(const std::filesystem::path& folder, const std::string& tag);

/// The tag that `latest` names, or nothing where that file does not exist. Throws IoError, or CheckpointError where
/// its content is no tag.
std::optional<std::string> read_latest(const std::filesystem::path& folder);

/// Where the checkpoint of that tag lies: TAG, or TAG.replaced where a crash fell between two renames, or nothing.
std::optional<std::filesystem::path> find_tag_folder(const std::filesystem::path& folder, const std::string& tag);

/// The tags directly in `folder` that have a manifest, complete or not, by name.
std::vector<std::string> list_tags(const std::filesystem::path& folder);

/// rank_{r}.safetensors
std::string data_file_name(int rank);

/// An exclusive lock on TAG.saving, held until destruction and let go by the system when its process dies. In a forked
/// child the destructor does nothing.
class StagingLock {
 public:
  /// Nothing where another process or writer holds it. File systems without locks count as free.
  static std::optional<StagingLock> try_acquire(const std::filesystem::path& folder);
  StagingLock(StagingLock&& other) noexcept;
  StagingLock& operator=(StagingLock&& other) noexcept;
  ~StagingLock();

 private:
  explicit StagingLock(int fd);
  int fd_ = -1;
  int owner_ = 0;
};

/// Undoes what crashed saves left beside `tag`: renames TAG.replaced back where TAG is missing, removes other
/// TAG.replaced, TAG.saving that nobody holds, and temporary files of `latest`.
void clean_leftovers(const std::filesystem::path& folder, const std::string& tag);

/// Makes TAG.saving the new TAG, by one atomic exchange where the file system can, else by two renames. What was TAG
/// before lies in the returned folder (to be passed to retire_folder), or nowhere.
std::optional<std::filesystem::path> publish(const std::filesystem::path& folder, const std::string& tag);

/// Removes a replaced checkpoint; files that are not a checkpoint's move to `keeper` unless it has such a file.
void retire_folder(const std::filesystem::path& old_folder, const std::filesystem::path& keeper);

namespace detail {

/// publish() for file systems that cannot exchange (NFS).
std::optional<std::filesystem::path> publish_by_two_renames(const std::filesystem::path& folder,
                                                            const std::string& tag);

}  // namespace detail
}  // namespace deepspeed::checkpoint
