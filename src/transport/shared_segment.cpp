// memfd, seals and the mapping.
#include "transport/shared_segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "deepspeed/error.h"

namespace deepspeed::transport {
namespace {

// Where huge pages hold several of these, the kernel is asked for them.
constexpr int64_t kHugePageBytes = int64_t{2} << 20;

// Taken at a time: kernels before 6.13 give back what they have when a signal comes, and must get somewhere between two
// of them.
constexpr int64_t kStepBytes = int64_t{4} << 20;

[[noreturn]] void fail(const char* what, int64_t bytes, int error) {
  throw IoError(concat("[transport.shared_segment] ", what, " of ", bytes, " bytes of shared memory"), "memfd", error);
}

int allocate(int file, int64_t bytes) {
  for (int64_t begin = 0; begin < bytes; begin += kStepBytes) {
    int error = EINTR;
    while (error == EINTR) error = ::posix_fallocate(file, begin, std::min(kStepBytes, bytes - begin));
    if (error != 0) return error;
  }
  return 0;
}

}  // namespace

SharedSegment::SharedSegment(core::Descriptor file, int64_t bytes) : file_(std::move(file)), bytes_(bytes) {
  void* const at = ::mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
  if (at == MAP_FAILED) fail("mapping", bytes, errno);
  data_ = static_cast<std::byte*>(at);
}

SharedSegment SharedSegment::create(int64_t bytes) {
  core::Descriptor file(::memfd_create("deepspeed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) fail("making", bytes, errno);
  if (::ftruncate(file.get(), bytes) != 0) fail("sizing", bytes, errno);
  SharedSegment segment(std::move(file), bytes);
  // Only where the kernel's policy leaves it to programs; a refusal costs nothing but speed.
  if (bytes >= kHugePageBytes) ::madvise(segment.data_, static_cast<size_t>(bytes), MADV_HUGEPAGE);
  if (const int error = allocate(segment.descriptor(), bytes); error != 0) fail("allocating", bytes, error);
  if (::fcntl(segment.descriptor(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    fail("sealing", bytes, errno);
  }
  return segment;
}

SharedSegment SharedSegment::map(core::Descriptor file, int64_t bytes) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail("looking at", bytes, errno);
  DS_CHECK(status.st_size >= bytes, CommError, "[transport.shared_segment] another rank's memory has ", status.st_size,
           " bytes, expected ", bytes, ". Do all ranks run the same version of this library?");
  return {std::move(file), bytes};
}

SharedSegment::SharedSegment(SharedSegment&& other) noexcept
    : file_(std::move(other.file_)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

SharedSegment& SharedSegment::operator=(SharedSegment&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

SharedSegment::~SharedSegment() {
  if (data_ != nullptr) ::munmap(data_, static_cast<size_t>(bytes_));
}

}  // namespace deepspeed::transport
