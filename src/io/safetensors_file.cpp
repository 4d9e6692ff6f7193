// open, fstat and pread.
#include "io/safetensors_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "deepspeed/error.h"

namespace deepspeed::io {
namespace {

constexpr uint64_t kCallBytes = uint64_t{1} << 30;  // one pread moves less than 2 GiB

[[noreturn]] void fail(const char* operation, const std::filesystem::path& path, int error_number) {
  throw IoError(concat("[io.safetensors] ", operation, " ", path.string()), path.string(), error_number);
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path) {
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) fail("opening", path, errno);
  try {
    open();
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

void SafetensorsFile::open() {
  struct stat status {};
  if (::fstat(fd_, &status) != 0) fail("examining", path_, errno);
  if (!S_ISREG(status.st_mode)) fail("examining", path_, EINVAL);
  bytes_ = static_cast<uint64_t>(status.st_size);
  std::string text(std::min(bytes_, kSafetensorsLengthBytes), '\0');
  read(0, text.data(), text.size());
  text.resize(safetensors_header_bytes(text, bytes_, path_.string()));
  read(0, text.data(), text.size());
  header_ = parse_safetensors_header(text, bytes_, path_.string());
}

SafetensorsFile::SafetensorsFile(SafetensorsFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      bytes_(other.bytes_),
      header_(std::move(other.header_)) {}

SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(bytes_, other.bytes_);
  std::swap(header_, other.header_);
  return *this;
}

SafetensorsFile::~SafetensorsFile() {
  if (fd_ >= 0) ::close(fd_);
}

void SafetensorsFile::read(uint64_t offset, void* out, uint64_t bytes) const {
  auto* to = static_cast<char*>(out);
  while (bytes > 0) {
    const ssize_t got = ::pread(fd_, to, std::min(bytes, kCallBytes), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("reading", path_, errno);
    DS_CHECK(got > 0, CheckpointError, "[io.safetensors] ", path_.string(), ": it ends at byte ", offset, ", it had ",
             bytes_, " bytes when it was opened. The file was shortened meanwhile.");
    to += got;
    offset += static_cast<uint64_t>(got);
    bytes -= static_cast<uint64_t>(got);
  }
}

}  // namespace deepspeed::io
