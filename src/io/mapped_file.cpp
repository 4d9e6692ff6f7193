// mmap and munmap; an empty file has no mapping.
#include "io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "deepspeed/error.h"

namespace deepspeed::io {
namespace {

[[noreturn]] void fail(const char* operation, const std::filesystem::path& path, int error_number) {
  throw IoError(concat("[io.mapped_file] ", operation, " ", path.string()), path.string(), error_number);
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("opening", path, errno);
  struct stat status {};
  const int stat_error = ::fstat(fd, &status) != 0 ? errno : S_ISREG(status.st_mode) ? 0 : EINVAL;
  void* address = nullptr;
  int map_error = 0;
  if (stat_error == 0 && status.st_size > 0) {
    address = ::mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    if (address == MAP_FAILED) map_error = errno;
  }
  ::close(fd);
  if (stat_error != 0) fail("examining", path, stat_error);
  if (map_error != 0) fail("mapping", path, map_error);
  data_ = static_cast<const std::byte*>(address);
  bytes_ = static_cast<size_t>(status.st_size);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), bytes_);
}

}  // namespace deepspeed::io
