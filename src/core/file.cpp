// Whole-file reads and atomic writes over POSIX calls.
#include "core/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "core/descriptor.h"
#include "deepspeed/error.h"

namespace deepspeed::core {
namespace {

[[noreturn]] void fail(const char* operation, const std::filesystem::path& path) {
  const int error_number = errno;
  throw IoError(concat("[core.file] ", operation, " ", path.string()), path.string(), error_number);
}

void write_all(int fd, std::string_view content, const std::filesystem::path& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("writing", path);
    content.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

std::string read_file(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) fail("opening", path);
  std::string content;
  char buffer[1 << 16];
  while (true) {
    const ssize_t count = ::read(file.get(), buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("reading", path);
    if (count == 0) return content;
    content.append(buffer, static_cast<size_t>(count));
  }
}

void sync_path(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) fail("opening", path);
  if (::fsync(file.get()) != 0) fail("syncing", path);
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  auto temporary = path;
  temporary += concat(".", ::getpid(), ".tmp");
  try {
    const Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!file) fail("creating", temporary);
    write_all(file.get(), content, temporary);
    if (::fsync(file.get()) != 0) fail("syncing", temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail("renaming to", path);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_path(path.has_parent_path() ? path.parent_path() : std::filesystem::path("."));
}

}  // namespace deepspeed::core
