// Renames and removals. Every rename is followed by an fsync of the folder that it changes.
#include "checkpoint/tag_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include "checkpoint/manifest.h"
#include "core/file.h"
#include "deepspeed/error.h"

namespace deepspeed::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSavingSuffix = ".saving";
constexpr std::string_view kReplacedSuffix = ".replaced";
constexpr std::string_view kTemporarySuffix = ".tmp";

[[noreturn]] void fail(const std::string& operation, const fs::path& path, int error_number) {
  throw IoError(concat("[checkpoint] ", operation, " ", path.string()), path.string(), error_number);
}

fs::path with_suffix(fs::path path, std::string_view suffix) {
  path += suffix;
  return path;
}

void rename_and_sync(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) fail(concat("renaming ", from.string(), " to"), to, errno);
  core::sync_path(to.parent_path());
}

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) fail("removing", path, error.value());
}

// Whether a checkpoint wrote a file of that name: the manifest, data files, and their temporary names.
bool is_checkpoint_file(const std::string& name) {
  const std::string_view view = name;
  return view.starts_with(kManifestFile) || (view.starts_with("rank_") && view.find(".safetensors") != view.npos);
}

std::vector<fs::path> folders_in(const fs::path& folder) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;  // what vanishes meanwhile is no folder
    if (entry->is_directory(ignored)) folders.push_back(entry->path());
  }
  if (error && error != std::errc::no_such_file_or_directory) fail("listing", folder, error.value());
  std::sort(folders.begin(), folders.end());
  return folders;
}

std::optional<fs::path> without_suffix(const fs::path& path, std::string_view suffix) {
  const std::string& text = path.native();
  if (!text.ends_with(suffix)) return std::nullopt;
  return fs::path(text.substr(0, text.size() - suffix.size()));
}

// A folder of the user's that happens to end in our suffix is left alone.
bool looks_like_ours(const fs::path& folder) {
  bool is_empty = true;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (is_checkpoint_file(entry.path().filename().string())) return true;
    is_empty = false;
  }
  return is_empty;
}

void clean_latest_temporaries(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(concat(kLatestFile, ".")) && name.ends_with(kTemporarySuffix)) found.push_back(entry.path());
  }
  for (const auto& path : found) fs::remove(path);
}

}  // namespace

void check_tag(const std::string& tag) {
  bool valid =
      !tag.empty() && tag.find('\0') == std::string::npos && tag.find('\n') == std::string::npos && tag != kLatestFile;
  for (size_t begin = 0; valid && begin <= tag.size();) {
    const size_t end = std::min(tag.find('/', begin), tag.size());
    const std::string_view part(tag.data() + begin, end - begin);
    valid = !part.empty() && part != "." && part != ".." && !part.ends_with(kSavingSuffix) &&
            !part.ends_with(kReplacedSuffix);
    begin = end + 1;
  }
  DS_CHECK(valid, ValueError, "[checkpoint] tag: got '", tag,
           "', expected a name for a folder inside the checkpoint folder, without '.', '..' or empty parts, not '",
           kLatestFile, "' and not ending in '", kSavingSuffix, "' or '", kReplacedSuffix, "'");
}

fs::path tag_folder(const fs::path& folder, const std::string& tag) { return folder / tag; }

fs::path staging_folder(const fs::path& folder, const std::string& tag) {
  return with_suffix(tag_folder(folder, tag), kSavingSuffix);
}

std::optional<std::string> read_latest(const fs::path& folder) {
  std::string tag;
  try {
    tag = core::read_file(folder / kLatestFile);
  } catch (const IoError& error) {
    if (error.error_number() == ENOENT || error.error_number() == ENOTDIR) return std::nullopt;
    throw;
  }
  while (!tag.empty() && (tag.back() == '\n' || tag.back() == '\r' || tag.back() == ' ')) tag.pop_back();
  try {
    check_tag(tag);
  } catch (const ValueError& error) {
    throw CheckpointError(concat("[checkpoint] ", (folder / kLatestFile).string(), " is damaged: ", error.what()));
  }
  return tag;
}

std::optional<fs::path> find_tag_folder(const fs::path& folder, const std::string& tag) {
  const fs::path path = tag_folder(folder, tag);
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return path;
  const fs::path replaced = with_suffix(path, kReplacedSuffix);
  if (fs::exists(replaced / kManifestFile, ignored)) return replaced;
  return std::nullopt;
}

std::vector<std::string> list_tags(const fs::path& folder) {
  std::vector<std::string> tags;
  for (const auto& path : folders_in(folder)) {
    if (without_suffix(path, kSavingSuffix) || !fs::exists(path / kManifestFile)) continue;
    const auto original = without_suffix(path, kReplacedSuffix);
    if (original && fs::exists(*original)) continue;
    tags.push_back(original.value_or(path).filename().string());
  }
  return tags;
}

std::string data_file_name(int rank) { return concat("rank_", rank, ".safetensors"); }

StagingLock::StagingLock(int fd) : fd_(fd), owner_(::getpid()) {}

std::optional<StagingLock> StagingLock::try_acquire(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail("opening", folder, errno);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(fd);
    return std::nullopt;
  }
  return StagingLock(fd);
}

StagingLock::StagingLock(StagingLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)), owner_(other.owner_) {}

StagingLock& StagingLock::operator=(StagingLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(owner_, other.owner_);
  return *this;
}

StagingLock::~StagingLock() {
  if (fd_ < 0) return;
  // Explicitly, as forked children may hold the descriptor for long after.
  if (owner_ == ::getpid()) ::flock(fd_, LOCK_UN);
  ::close(fd_);
}

void clean_leftovers(const fs::path& folder, const std::string& tag) {
  for (const auto& path : folders_in(tag_folder(folder, tag).parent_path())) {
    const bool has_suffix = without_suffix(path, kReplacedSuffix) || without_suffix(path, kSavingSuffix);
    if (!has_suffix || !looks_like_ours(path)) continue;
    if (const auto original = without_suffix(path, kReplacedSuffix)) {
      if (fs::exists(*original)) {
        retire_folder(path, *original);
      } else if (fs::exists(path / kManifestFile)) {
        rename_and_sync(path, *original);
      }
    } else if (const auto unfinished = without_suffix(path, kSavingSuffix)) {
      if (const auto lock = StagingLock::try_acquire(path)) retire_folder(path, *unfinished);
    }
  }
  clean_latest_temporaries(folder);
}

std::optional<fs::path> detail::publish_by_two_renames(const fs::path& folder, const std::string& tag) {
  const fs::path target = tag_folder(folder, tag);
  const fs::path replaced = with_suffix(target, kReplacedSuffix);
  rename_and_sync(target, replaced);
  rename_and_sync(staging_folder(folder, tag), target);
  return replaced;
}

std::optional<fs::path> publish(const fs::path& folder, const std::string& tag) {
  const fs::path target = tag_folder(folder, tag);
  const fs::path staging = staging_folder(folder, tag);
  if (!fs::exists(target)) {
    rename_and_sync(staging, target);
    return std::nullopt;
  }
  if (::renameat2(AT_FDCWD, staging.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) {
    core::sync_path(target.parent_path());
    return staging;
  }
  const int error_number = errno;
  if (error_number != EINVAL && error_number != ENOSYS && error_number != EOPNOTSUPP) {
    fail(concat("exchanging ", staging.string(), " and"), target, error_number);
  }
  return detail::publish_by_two_renames(folder, tag);
}

void retire_folder(const fs::path& old_folder, const fs::path& keeper) {
  if (fs::is_directory(keeper)) {
    std::vector<fs::path> others;
    for (const auto& entry : fs::directory_iterator(old_folder)) {
      if (!is_checkpoint_file(entry.path().filename().string())) others.push_back(entry.path());
    }
    for (const auto& path : others) {
      if (!fs::exists(keeper / path.filename())) rename_and_sync(path, keeper / path.filename());
    }
  }
  remove_tree(old_folder);
}

}  // namespace deepspeed::checkpoint
