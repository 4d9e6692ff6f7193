// Files that are never half written: a temporary name, fsync, rename, fsync of the folder.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace deepspeed::core {

/// The whole file. Throws IoError with path and errno.
std::string read_file(const std::filesystem::path& path);

/// Replaces `path` by `content` atomically: after a crash at any point a reader sees the old file or the new one,
/// whole. Throws IoError (a full disk included); the old file is then untouched and no temporary file is left.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// fsync of a file or a folder. Throws IoError.
void sync_path(const std::filesystem::path& path);

}  // namespace deepspeed::core
