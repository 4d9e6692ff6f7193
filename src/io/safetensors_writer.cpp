// Layout first, then positional writes of a megabyte at a time, each checksummed while it is in the cache.
#include "io/safetensors_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <unordered_set>
#include <utility>

#include "core/file.h"
#include "deepspeed/error.h"
#include "io/crc32c.h"
#include "io/json_text.h"

namespace deepspeed::io {
namespace {

constexpr uint64_t kChunkBytes = uint64_t{1} << 20;
constexpr uint64_t kHeaderAlignmentBytes = 8;

[[noreturn]] void fail(const char* operation, const std::filesystem::path& path) {
  const int error_number = errno;
  throw IoError(concat("[io.safetensors] ", operation, " ", path.string()), path.string(), error_number);
}

uint64_t declared_bytes(const TensorDeclaration& tensor) {
  const auto bytes = checked_bytes(tensor.shape, tensor.type);
  DS_CHECK(bytes.has_value(), ValueError, "[io.safetensors] tensor '", tensor.key, "': the shape ",
           shape_text(tensor.shape), " is impossible");
  return static_cast<uint64_t>(*bytes);
}

// Keys are distinct (checked), so members are appended without ordered_json's search for an equal key.
std::string header_text(const std::vector<TensorDeclaration>& tensors, const std::vector<uint64_t>& offsets,
                        const std::vector<uint64_t>& bytes, const std::map<std::string, std::string>& metadata) {
  std::string text = "{\"__metadata__\":" + Json(metadata).dump();
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Json description = {{"dtype", std::string(element_type_name(tensors[i].type))},
                              {"shape", tensors[i].shape},
                              {"data_offsets", {offsets[i], offsets[i] + bytes[i]}}};
    text += concat(",", Json(tensors[i].key).dump(), ":", description.dump());
  }
  text += "}";
  text.append((kHeaderAlignmentBytes - text.size() % kHeaderAlignmentBytes) % kHeaderAlignmentBytes, ' ');
  return text;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path, std::vector<TensorDeclaration> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : path_(std::move(path)), tensors_(std::move(tensors)), written_(tensors_.size(), false), owner_(::getpid()) {
  lay_out();
  std::string header;
  try {
    header = header_text(tensors_, offsets_, bytes_, metadata);
  } catch (const nlohmann::json::exception& error) {
    throw ValueError(concat("[io.safetensors] ", path_.string(), ": a key is not valid UTF-8: ", error.what()));
  }
  const uint64_t length = header.size();
  header.insert(0, reinterpret_cast<const char*>(&length), sizeof(length));
  for (auto& offset : offsets_) offset += header.size();
  file_bytes_ += header.size();
  header_crc32c_ = crc32c(header.data(), header.size());
  temporary_ = path_;
  temporary_ += concat(".", owner_, ".tmp");
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) fail("creating", temporary_);
  try {
    write_bytes(header.data(), header.size(), 0);
  } catch (...) {
    ::close(fd_);
    ::unlink(temporary_.c_str());
    throw;
  }
}

SafetensorsWriter::~SafetensorsWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  if (owner_ == ::getpid()) ::unlink(temporary_.c_str());
}

void SafetensorsWriter::lay_out() {
  std::unordered_set<std::string> keys = {"__metadata__"};
  bytes_.reserve(tensors_.size());
  for (const auto& tensor : tensors_) {
    DS_CHECK(keys.insert(tensor.key).second, ValueError, "[io.safetensors] ", path_.string(), ": the key '", tensor.key,
             "' is reserved or declared twice");
    bytes_.push_back(declared_bytes(tensor));
  }
  std::vector<size_t> order(tensors_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return element_bytes(tensors_[a].type) > element_bytes(tensors_[b].type);
  });
  offsets_.resize(tensors_.size());
  for (const size_t index : order) {
    offsets_[index] = file_bytes_;
    file_bytes_ += bytes_[index];
  }
}

void SafetensorsWriter::write_bytes(const char* data, uint64_t bytes, uint64_t offset) {
  while (bytes > 0) {
    const ssize_t count = ::pwrite(fd_, data, bytes, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("writing", temporary_);
    data += count;
    bytes -= static_cast<uint64_t>(count);
    offset += static_cast<uint64_t>(count);
  }
}

uint32_t SafetensorsWriter::write(size_t index, const void* data) {
  DS_INTERNAL_CHECK(index < tensors_.size() && fd_ >= 0, "tensor ", index, " of ", tensors_.size(), " in ",
                    path_.string());
  const auto* cursor = static_cast<const char*>(data);
  uint64_t left = bytes_[index];
  uint64_t offset = offsets_[index];
  uint32_t crc = 0;
  while (left > 0) {
    const uint64_t chunk = std::min(left, kChunkBytes);
    crc = crc32c(cursor, chunk, crc);
    write_bytes(cursor, chunk, offset);
    cursor += chunk;
    offset += chunk;
    left -= chunk;
  }
  written_[index] = true;
  return crc;
}

void SafetensorsWriter::commit() {
  const auto unwritten = std::find(written_.begin(), written_.end(), false);
  DS_INTERNAL_CHECK(unwritten == written_.end(), path_.string(), ": tensor '",
                    tensors_[static_cast<size_t>(unwritten - written_.begin())].key, "' was never written");
  if (::fsync(fd_) != 0) fail("syncing", temporary_);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("renaming to", path_);
  ::close(std::exchange(fd_, -1));
  core::sync_path(path_.has_parent_path() ? path_.parent_path() : std::filesystem::path("."));
}

}  // namespace deepspeed::io
