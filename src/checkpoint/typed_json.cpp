// One table of forms, each with the check of its payload.
#include "checkpoint/typed_json.h"

#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "deepspeed/error.h"
#include "io/element_type.h"

namespace deepspeed::checkpoint {
namespace {

constexpr int kMaxDepth = io::kMaxJsonDepth - 8;  // the manifest around the value has levels of its own

constexpr std::string_view kBase64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::optional<std::string> decode_base64(const std::string& text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string bytes;
  uint32_t group = 0;
  int group_bits = 0;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  for (const char digit : std::string_view(text).substr(0, text.size() - padding)) {
    const size_t value = kBase64Digits.find(digit);
    if (value == std::string_view::npos) return std::nullopt;
    group = group << 6 | static_cast<uint32_t>(value);
    group_bits += 6;
    if (group_bits >= 8) {
      group_bits -= 8;
      bytes.push_back(static_cast<char>(group >> group_bits & 0xff));
    }
  }
  return bytes;
}

std::string encode_base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) {
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    }
    for (size_t k = 0; k < 4; ++k) {
      text.push_back(i + k <= bytes.size() ? kBase64Digits[group >> (18 - 6 * k) & 0x3f] : '=');
    }
  }
  return text;
}

bool is_nonfinite_name(const Json& value) {
  return value == Json("nan") || value == Json("inf") || value == Json("-inf");
}

bool is_decimal(const Json& value) {
  if (!value.is_string()) return false;
  std::string_view digits = value.get_ref<const std::string&>();
  if (digits.starts_with("-")) digits.remove_prefix(1);
  return !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
}

bool is_utf8(const std::string& text) {
  try {
    static_cast<void>(Json(text).dump());
    return true;
  } catch (const Json::type_error&) {
    return false;
  }
}

class Checker {
 public:
  void check(const Json& value, const std::string& path, int depth) {
    require(depth < kMaxDepth, path, "nested too deeply");
    if (value.is_number_float()) {
      require(std::isfinite(value.get<double>()), path, "a raw nan or inf, which JSON cannot hold");
    } else if (value.is_string()) {
      require(is_utf8(value.get_ref<const std::string&>()), path, "text that is not UTF-8");
    } else if (value.is_array()) {
      check_items(value, path, depth);
    } else if (value.is_object()) {
      check_object(value, path, depth);
    } else {
      require(!value.is_binary() && !value.is_discarded(), path, "not JSON");
    }
  }

 private:
  static void require(bool holds, const std::string& path, const std::string& problem) {
    DS_CHECK(holds, CheckpointError, "[checkpoint.typed_json] ", path, ": ", problem,
             ". docs/checkpoint.md lists what can be stored.");
  }

  void check_items(const Json& array, const std::string& path, int depth) {
    for (size_t i = 0; i < array.size(); ++i) check(array[i], concat(path, "[", i, "]"), depth + 1);
  }

  void check_object(const Json& object, const std::string& path, int depth) {
    const auto& members = object.get_ref<const Json::object_t&>();
    for (const auto& [key, value] : members) {
      if (key.starts_with("$")) {
        require(members.size() == 1, path, concat("the form '", key, "' beside other keys"));
        return check_form(key, value, path, depth);
      }
      require(is_utf8(key), path, "a key that is not UTF-8");
      check(value, concat(path, ".", key), depth + 1);
    }
  }

  void check_form(const std::string& form, const Json& value, const std::string& path, int depth) {
    const auto inner = concat(path, ".", form);
    bool valid = false;
    if (form == "$tuple" || form == "$set" || form == "$frozenset") {
      valid = value.is_array();
      if (valid) check_items(value, inner, depth + 1);
    } else if (form == "$dict" || form == "$ordered_dict" || form == "$counter") {
      valid = check_pairs(value, inner, depth + 1);
    } else if (form == "$numpy") {
      valid = value.is_array() && value.size() == 2 && value[0].is_string();
      if (valid) check(value[1], inner, depth + 1);
    } else if (form == "$complex") {
      valid = value.is_array() && value.size() == 2 && is_float(value[0]) && is_float(value[1]);
    } else if (form == "$size") {
      valid = value.is_array();
      for (const auto& size : value) valid = valid && size.is_number_integer();
    } else if (form == "$float") {
      valid = is_nonfinite_name(value);
    } else if (form == "$int") {
      valid = is_decimal(value);
    } else if (form == "$bytes") {
      valid = value.is_string() && decode_base64(value.get_ref<const std::string&>()).has_value();
    } else if (form == "$dtype") {
      valid = value.is_string();
    } else if (form == "$tensor" || form == "$ndarray") {
      valid = value.is_string() && is_utf8(value.get_ref<const std::string&>());
    } else {
      require(false, path, concat("the unknown form '", form, "'"));
    }
    require(valid, path, concat("the form '", form, "' with a value that does not belong there"));
  }

  bool check_pairs(const Json& value, const std::string& path, int depth) {
    if (!value.is_array()) return false;
    for (size_t i = 0; i < value.size(); ++i) {
      if (!value[i].is_array() || value[i].size() != 2) return false;
      check_items(value[i], concat(path, "[", i, "]"), depth + 1);
    }
    return true;
  }

  static bool is_float(const Json& value) {
    if (value.is_number()) return !value.is_number_float() || std::isfinite(value.get<double>());
    return value.is_object() && value.size() == 1 && value.contains("$float") && is_nonfinite_name(value["$float"]);
  }
};

void collect_references(const Json& value, std::vector<std::string>& names) {
  if (value.is_object()) {
    for (const auto& [key, inner] : value.get_ref<const Json::object_t&>()) {
      if (key == "$tensor" || key == "$ndarray") {
        names.push_back(inner.get<std::string>());
      } else {
        collect_references(inner, names);
      }
    }
  } else if (value.is_array()) {
    for (const auto& inner : value) collect_references(inner, names);
  }
}

}  // namespace

Json encode_float(double value) {
  if (std::isfinite(value)) return value;
  return {{"$float", std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf"}};
}

double decode_float(const Json& value, const std::string& path) {
  if (value.is_number()) return value.get<double>();
  if (value.is_object() && value.size() == 1 && value.contains("$float") && is_nonfinite_name(value["$float"])) {
    if (value["$float"] == Json("nan")) return std::numeric_limits<double>::quiet_NaN();
    const double infinity = std::numeric_limits<double>::infinity();
    return value["$float"] == Json("inf") ? infinity : -infinity;
  }
  throw CheckpointError(concat("[checkpoint.typed_json] ", path, ": expected a number, got ", value.type_name()));
}

Json encode_bytes(std::string_view bytes) { return {{"$bytes", encode_base64(bytes)}}; }

std::string decode_bytes(const Json& value, const std::string& path) {
  if (value.is_object() && value.size() == 1 && value.contains("$bytes") && value["$bytes"].is_string()) {
    if (auto bytes = decode_base64(value["$bytes"].get_ref<const std::string&>())) return *std::move(bytes);
  }
  throw CheckpointError(concat("[checkpoint.typed_json] ", path, ": expected {\"$bytes\": base64}"));
}

Json encode_tensor_reference(const std::string& name) { return {{"$tensor", name}}; }

void check_typed_json(const Json& value, const std::string& path) { Checker().check(value, path, 0); }

std::vector<std::string> tensor_references(const Json& value) {
  std::vector<std::string> names;
  collect_references(value, names);
  return names;
}

}  // namespace deepspeed::checkpoint
