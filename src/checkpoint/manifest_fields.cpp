#include "checkpoint/manifest_fields.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "deepspeed/error.h"

namespace deepspeed::checkpoint {

ManifestFields::ManifestFields(const io::Json& object, std::string context)
    : object_(object), context_(std::move(context)) {
  if (!object.is_object()) fail(concat("expected an object, got ", object.type_name()));
}

void ManifestFields::fail(const std::string& problem) const { throw CheckpointError(concat(context_, problem)); }

const io::Json& ManifestFields::value(const char* field) {
  const auto found = object_.find(field);
  if (found == object_.end()) fail(concat("the field '", field, "' is missing"));
  known_.emplace_back(field);
  return *found;
}

const std::string& ManifestFields::text(const char* field) {
  const auto& found = value(field);
  if (!found.is_string() || found.get_ref<const std::string&>().empty()) {
    fail(concat("the field '", field, "' is not a text"));
  }
  return found.get_ref<const std::string&>();
}

int64_t ManifestFields::integer(const char* field, int64_t minimum, int64_t maximum) {
  const auto& found = value(field);
  const bool fits = found.is_number_integer() &&
                    (!found.is_number_unsigned() || found.get<uint64_t>() <= static_cast<uint64_t>(maximum)) &&
                    found.get<int64_t>() >= minimum && found.get<int64_t>() <= maximum;
  if (!fits) fail(concat("the field '", field, "' is no integer from ", minimum, " to ", maximum));
  return found.get<int64_t>();
}

std::vector<int64_t> ManifestFields::integers(const char* field) {
  std::vector<int64_t> values;
  for (const auto& item : array(field)) {
    const bool fits = item.is_number_unsigned() && item.get<uint64_t>() <= uint64_t{1} << 62;
    if (!fits) fail(concat("the field '", field, "' holds something that is no size"));
    values.push_back(item.get<int64_t>());
  }
  return values;
}

const io::Json& ManifestFields::object(const char* field) {
  const auto& found = value(field);
  if (!found.is_object()) fail(concat("the field '", field, "' is not an object"));
  return found;
}

const io::Json& ManifestFields::array(const char* field) {
  const auto& found = value(field);
  if (!found.is_array()) fail(concat("the field '", field, "' is not a list"));
  return found;
}

uint32_t ManifestFields::checksum(const char* field) {
  return static_cast<uint32_t>(integer(field, 0, std::numeric_limits<uint32_t>::max()));
}

void ManifestFields::expect_no_other() const {
  for (const auto& member : object_.get_ref<const io::Json::object_t&>()) {
    if (std::find(known_.begin(), known_.end(), member.first) == known_.end()) {
      fail(concat("unknown field '", member.first, "'"));
    }
  }
}

}  // namespace deepspeed::checkpoint
