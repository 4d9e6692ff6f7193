#include "config/value.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <type_traits>

#include "config/nearest.h"
#include "deepspeed/error.h"

namespace deepspeed::config {
namespace {

using nlohmann::json;

constexpr size_t kShownCharacters = 120;

template <class T>
struct Tag {};

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <class T>
constexpr bool is_section = std::is_same_v<T, Section> || std::is_same_v<T, SectionGroup>;

std::optional<double> convert(Tag<double>, const json& value) {
  if (value.is_number()) return value.get<double>();
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<int64_t> convert(Tag<int64_t>, const json& value) {
  if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_string()) {  // not through a double: 64 bits do not fit
    const auto& text = value.get_ref<const std::string&>();
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size()) return number;
  }
  const auto number = convert(Tag<double>{}, value);
  constexpr double kTwoTo63 = 9223372036854775808.0;
  if (!number || !(std::abs(*number) < kTwoTo63) || std::trunc(*number) != *number) return std::nullopt;
  return static_cast<int64_t>(*number);
}

std::optional<bool> convert(Tag<bool>, const json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) {
    const double number = value.get<double>();
    if (number == 0 || number == 1) return number == 1;
    return std::nullopt;
  }
  if (!value.is_string()) return std::nullopt;
  const std::string text = lower_case(value.get<std::string>());
  if (text == "true" || text == "yes" || text == "on" || text == "t" || text == "y" || text == "1") return true;
  if (text == "false" || text == "no" || text == "off" || text == "f" || text == "n" || text == "0") return false;
  return std::nullopt;
}

std::optional<std::string> convert(Tag<std::string>, const json& value) {
  if (!value.is_string()) return std::nullopt;
  return value.get<std::string>();
}

std::optional<core::Dtype> convert(Tag<core::Dtype>, const json& value) {
  if (!value.is_string()) return std::nullopt;
  try {
    return core::parse_dtype(lower_case(value.get<std::string>()));
  } catch (const ValueError&) {
    return std::nullopt;
  }
}

template <class T>
std::optional<std::vector<T>> convert(Tag<std::vector<T>>, const json& value) {
  std::vector<T> items;
  if (!value.is_array()) {
    const auto item = convert(Tag<T>{}, value);
    if (!item) return std::nullopt;
    return std::vector<T>{*item};
  }
  for (const auto& element : value) {
    const auto item = convert(Tag<T>{}, element);
    if (!item) return std::nullopt;
    items.push_back(*item);
  }
  return items;
}

std::optional<json> convert(Tag<json>, const json& value) { return value; }

bool in_range(double number, const Allowed& allowed) {
  if (!std::isfinite(number)) return false;
  if (allowed.minimum && (allowed.minimum_excluded ? number <= *allowed.minimum : number < *allowed.minimum)) {
    return false;
  }
  return !allowed.maximum || (allowed.maximum_excluded ? number < *allowed.maximum : number <= *allowed.maximum);
}

// True where the converted value is allowed; text is replaced by the choice that it equals in another case.
template <class T>
bool accept(T& value, const Allowed& allowed) {
  if constexpr (std::is_same_v<T, double> || std::is_same_v<T, int64_t>) {
    return in_range(static_cast<double>(value), allowed);
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (allowed.choices.empty()) return true;
    const auto same = [&](const std::string& choice) { return lower_case(choice) == lower_case(value); };
    const auto found = std::find_if(allowed.choices.begin(), allowed.choices.end(), same);
    if (found != allowed.choices.end()) value = *found;
    return found != allowed.choices.end();
  } else if constexpr (std::is_same_v<T, json>) {
    return !allowed.must_be_object || value.is_object() || value.is_null();
  } else if constexpr (std::is_same_v<T, core::Dtype>) {
    return value != core::Dtype::kFloat64;
  } else if constexpr (std::is_same_v<T, bool>) {
    return true;
  } else {
    if (allowed.count && value.size() != *allowed.count) return false;
    return std::all_of(value.begin(), value.end(), [&](auto& item) { return accept(item, allowed); });
  }
}

template <class T>
bool assign(T& member, const json& value, const Allowed& allowed) {
  auto converted = convert(Tag<T>{}, value);
  if (!converted || !accept(*converted, allowed)) return false;
  member = std::move(*converted);
  return true;
}

template <class T>
bool assign(std::optional<T>& member, const json& value, const Allowed& allowed) {
  const bool never = allowed.infinity_means_never && value.is_number_float() && value.get<double>() == INFINITY;
  if (value.is_null() || never) {
    member.reset();
    return true;
  }
  T present{};
  if (!assign(present, value, allowed)) return false;
  member = std::move(present);
  return true;
}

json to_json(core::Dtype dtype) { return std::string(core::dtype_name(dtype)); }
template <class T>
json to_json(const T& value) {
  return value;
}
template <class T>
json to_json(const std::optional<T>& value) {
  return value ? to_json(*value) : json();
}

std::string shortest(double number) {
  char buffer[32];
  return std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr);
}

std::string describe_range(const Allowed& allowed) {
  if (!allowed.minimum && !allowed.maximum) return "";
  const std::string low = allowed.minimum ? shortest(*allowed.minimum) : "";
  const std::string high = allowed.maximum ? shortest(*allowed.maximum) : "";
  if (allowed.minimum && allowed.maximum && !allowed.minimum_excluded && !allowed.maximum_excluded) {
    return " from " + low + " to " + high;
  }
  std::string range;
  if (allowed.minimum) range = (allowed.minimum_excluded ? " above " : " not below ") + low;
  if (allowed.maximum) {
    range += (range.empty() ? "" : " and") + std::string(allowed.maximum_excluded ? " below " : " not above ") + high;
  }
  return range;
}

std::string type_name(Tag<bool>, const Allowed&) { return "true or false"; }
std::string type_name(Tag<int64_t>, const Allowed& allowed) { return "an integer" + describe_range(allowed); }
std::string type_name(Tag<double>, const Allowed& allowed) { return "a number" + describe_range(allowed); }
std::string type_name(Tag<std::string>, const Allowed& allowed) {
  return allowed.choices.empty() ? "text in quotes" : quote_list(allowed.choices);
}
std::string type_name(Tag<core::Dtype>, const Allowed&) { return "\"fp32\", \"bf16\" or \"fp16\""; }
std::string type_name(Tag<json>, const Allowed& allowed) { return allowed.must_be_object ? "an object" : "any value"; }
std::string type_name(Tag<std::vector<std::string>>, const Allowed&) { return "a list of texts"; }
template <class T>
std::string type_name(Tag<std::vector<T>>, const Allowed& allowed) {
  const std::string count = allowed.count ? " of " + std::to_string(*allowed.count) : " of";
  return "a list" + count + (std::is_same_v<T, double> ? " numbers" : " integers") + describe_range(allowed);
}
template <class T>
std::string type_name(Tag<std::optional<T>>, const Allowed& allowed) {
  return type_name(Tag<T>{}, allowed) + (allowed.choices.empty() ? " or null" : ", or null");
}

}  // namespace

bool assign_value(Field& field, const json& value) {
  return std::visit(
      [&](auto& target) {
        using T = std::decay_t<decltype(target)>;
        if constexpr (is_section<T>) {
          return false;
        } else {
          return assign(*target, value, field.allowed);
        }
      },
      field.target);
}

std::string describe_expected(const Field& field) {
  return std::visit(
      [&](const auto& target) -> std::string {
        using T = std::decay_t<decltype(target)>;
        if constexpr (std::is_same_v<T, Section>) {
          return target.from_bool ? "an object, true or false" : "an object";
        } else if constexpr (std::is_same_v<T, SectionGroup>) {
          return target.named ? "an object of objects" : "a list of objects";
        } else {
          return type_name(Tag<std::remove_pointer_t<T>>{}, field.allowed);
        }
      },
      field.target);
}

json current_value(const Field& field) {
  return std::visit(
      [&](const auto& target) -> json {
        using T = std::decay_t<decltype(target)>;
        if constexpr (is_section<T>) {
          return json();
        } else {
          return to_json(*target);
        }
      },
      field.target);
}

std::string show_value(const json& value) {
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
    return shortest(number);
  }
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > kShownCharacters) {
    size_t end = kShownCharacters;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not inside a character
    text = text.substr(0, end) + "...";
  }
  return text;
}

}  // namespace deepspeed::config
