// Header parsing: each check stands where the value is read, and the layout is checked once over all tensors.
#include "io/safetensors_reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "deepspeed/error.h"
#include "io/crc32c.h"
#include "io/json_text.h"

namespace deepspeed::io {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors bytes are little endian");

constexpr const char* kMetadataKey = "__metadata__";

std::string where(const std::string& file_name) { return concat("[io.safetensors] ", file_name, ": "); }

std::vector<int64_t> parse_sizes(const Json& value, const char* field, const std::string& context) {
  DS_CHECK(value.is_array(), CheckpointError, context, field, " is not a list");
  std::vector<int64_t> sizes;
  sizes.reserve(value.size());
  for (const auto& size : value) {
    DS_CHECK(size.is_number_unsigned() && size.get<uint64_t>() <= uint64_t{1} << 62, CheckpointError, context, field,
             " holds something that is no size");
    sizes.push_back(size.get<int64_t>());
  }
  return sizes;
}

const Json& member(const Json& object, const char* field, const std::string& context) {
  const auto found = object.find(field);
  DS_CHECK(found != object.end(), CheckpointError, context, field, " is missing");
  return *found;
}

SafetensorsTensor parse_tensor(const std::string& key, const Json& value, uint64_t header_bytes, uint64_t data_bytes,
                               const std::string& file_name) {
  const std::string context = concat(where(file_name), "tensor '", key, "': ");
  DS_CHECK(value.is_object(), CheckpointError, context, "its description is not an object");
  SafetensorsTensor tensor;
  tensor.key = key;
  const auto& dtype = member(value, "dtype", context);
  DS_CHECK(dtype.is_string(), CheckpointError, context, "dtype is not a string");
  const auto type = parse_element_type(dtype.get_ref<const std::string&>());
  DS_CHECK(type.has_value(), CheckpointError, context, "unknown dtype '", dtype.get_ref<const std::string&>(), "'");
  tensor.type = *type;
  tensor.shape = parse_sizes(member(value, "shape", context), "shape", context);
  const auto offsets = parse_sizes(member(value, "data_offsets", context), "data_offsets", context);
  DS_CHECK(offsets.size() == 2 && offsets[0] <= offsets[1], CheckpointError, context,
           "data_offsets must be [begin, end]");
  const auto begin = static_cast<uint64_t>(offsets[0]);
  const auto end = static_cast<uint64_t>(offsets[1]);
  DS_CHECK(end <= data_bytes, CheckpointError, context, "its bytes [", begin, ", ", end, ") reach beyond the ",
           data_bytes, " that the file has. The file is torn.");
  const auto numel = checked_numel(tensor.shape);
  const int64_t size = element_bytes(tensor.type);
  DS_CHECK(numel.has_value() && *numel <= (int64_t{1} << 62) / size, CheckpointError, context, "the shape ",
           shape_text(tensor.shape), " is too large");
  DS_CHECK(static_cast<uint64_t>(*numel * size) == end - begin, CheckpointError, context, "the shape ",
           shape_text(tensor.shape), " of ", element_type_name(tensor.type), " needs ", *numel * size,
           " bytes, data_offsets give ", end - begin);
  tensor.offset = header_bytes + begin;
  tensor.bytes = end - begin;
  return tensor;
}

// The format asks that the tensors fill the file: no overlap, no hole, nothing behind.
void check_layout(const SafetensorsHeader& header, uint64_t file_bytes, const std::string& file_name) {
  std::vector<const SafetensorsTensor*> by_offset;
  by_offset.reserve(header.tensors.size());
  for (const auto& tensor : header.tensors) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(),
            [](auto* a, auto* b) { return a->offset != b->offset ? a->offset < b->offset : a->bytes < b->bytes; });
  uint64_t cursor = header.bytes;
  for (const auto* tensor : by_offset) {
    DS_CHECK(tensor->offset == cursor, CheckpointError, where(file_name), "tensor '", tensor->key, "' starts at byte ",
             tensor->offset, ", expected ", cursor, ": tensors overlap or leave a hole");
    cursor += tensor->bytes;
  }
  DS_CHECK(cursor == file_bytes, CheckpointError, where(file_name), "the tensors end at byte ", cursor,
           ", but the file has ", file_bytes);
}

void parse_metadata(const Json& value, SafetensorsHeader& header, const std::string& file_name) {
  DS_CHECK(value.is_object(), CheckpointError, where(file_name), kMetadataKey, " is not an object");
  for (const auto& item : value.items()) {
    DS_CHECK(item.value().is_string(), CheckpointError, where(file_name), kMetadataKey, ": the value of '", item.key(),
             "' is not a string");
    header.metadata[item.key()] = item.value().get<std::string>();
  }
}

Json parse_header_text(std::string_view text, const std::string& file_name) {
  std::optional<std::string> reason;
  try {
    Json json = parse_json_text(text);
    if (json.is_object()) return json;
    reason = "not an object";
  } catch (const ValueError& error) {
    reason = error.what();
  }
  throw CheckpointError(concat(where(file_name), "the header is damaged: ", *reason));
}

}  // namespace

uint64_t safetensors_header_bytes(std::string_view start, uint64_t file_bytes, const std::string& file_name) {
  DS_CHECK(file_bytes >= kSafetensorsLengthBytes && start.size() >= kSafetensorsLengthBytes, CheckpointError,
           where(file_name), "the file has ", file_bytes,
           " bytes, too few for a safetensors file. It is torn or something else.");
  uint64_t length = 0;
  std::memcpy(&length, start.data(), kSafetensorsLengthBytes);
  DS_CHECK(length <= kMaxSafetensorsHeaderBytes, CheckpointError, where(file_name), "the header length is ", length,
           ", above the limit of ", kMaxSafetensorsHeaderBytes, ". It is damaged or no safetensors file.");
  DS_CHECK(length <= file_bytes - kSafetensorsLengthBytes, CheckpointError, where(file_name), "the header should have ",
           length, " bytes, but only ", file_bytes - kSafetensorsLengthBytes, " follow its length. The file is torn.");
  return kSafetensorsLengthBytes + length;
}

SafetensorsHeader parse_safetensors(std::string_view file, const std::string& file_name) {
  const uint64_t bytes = safetensors_header_bytes(file, file.size(), file_name);
  return parse_safetensors_header(file.substr(0, bytes), file.size(), file_name);
}

SafetensorsHeader parse_safetensors_header(std::string_view text, uint64_t file_bytes, const std::string& file_name) {
  const Json json = parse_header_text(text.substr(kSafetensorsLengthBytes), file_name);
  SafetensorsHeader header;
  header.bytes = text.size();
  header.tensors.reserve(json.size());
  for (const auto& item : json.items()) {
    if (item.key() == kMetadataKey) {
      parse_metadata(item.value(), header, file_name);
    } else {
      header.tensors.push_back(
          parse_tensor(item.key(), item.value(), header.bytes, file_bytes - header.bytes, file_name));
    }
  }
  check_layout(header, file_bytes, file_name);
  return header;
}

SafetensorsReader::SafetensorsReader(const std::filesystem::path& path)
    : file_(path), header_(parse_safetensors(file_.text(), path.string())) {
  for (size_t i = 0; i < header_.tensors.size(); ++i) index_of_.emplace(header_.tensors[i].key, i);
}

const SafetensorsTensor* SafetensorsReader::find(const std::string& key) const {
  const auto found = index_of_.find(key);
  return found == index_of_.end() ? nullptr : &header_.tensors[found->second];
}

uint32_t SafetensorsReader::header_crc32c() const { return crc32c(file_.data(), header_.bytes); }

}  // namespace deepspeed::io
