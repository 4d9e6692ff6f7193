// One key of a section: where its value goes, what is allowed, which other spellings it has. Each section lists its
// fields once, in `fields(Section&)`; the reader, the list of known keys, the printer and the reference use that list.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/dtype.h"

namespace deepspeed::config {

class Field;
using Fields = std::vector<Field>;

/// A nested object with keys of its own.
struct Section {
  std::function<Fields()> open;              ///< its fields; makes the struct first where it is optional
  std::function<bool()> exists;              ///< false: an optional section that is absent
  std::function<void(bool)> from_bool = {};  ///< what a bare true or false in its place means, if anything
};

/// Many objects of one kind: a list, or an object whose keys are names that the user chooses.
struct SectionGroup {
  bool named = false;
  std::function<Fields(const std::string& name)> add;  ///< appends one (a list ignores `name`)
  std::function<std::vector<std::pair<std::string, Fields>>()> items;
};

/// Where a value goes; the type says what JSON is accepted. A null empties an optional.
using Target =
    std::variant<bool*, std::optional<bool>*, int64_t*, std::optional<int64_t>*, double*, std::optional<double>*,
                 std::string*, std::optional<std::string>*, std::vector<std::string>*,
                 std::optional<std::vector<std::string>>*, std::vector<int64_t>*, std::vector<double>*, core::Dtype*,
                 std::optional<core::Dtype>*, nlohmann::json*, Section, SectionGroup>;

/// What a value must satisfy beyond its type. Bounds hold for every number of a list.
struct Allowed {
  std::optional<double> minimum;
  std::optional<double> maximum;
  bool minimum_excluded = false;
  bool maximum_excluded = false;
  std::optional<size_t> count;       ///< of items in a list
  std::vector<std::string> choices;  ///< for text, in any case; stored as spelt here
  bool infinity_means_never = false;
  bool must_be_object = false;  ///< for free-form JSON
};

class Field {
 public:
  Field(std::string key, Target target) : key(std::move(key)), target(std::move(target)) {}

  Field& at_least(double value) { return allowed.minimum = value, *this; }
  Field& at_most(double value) { return allowed.maximum = value, *this; }
  Field& above(double value) { return allowed.minimum_excluded = true, at_least(value); }
  Field& below(double value) { return allowed.maximum_excluded = true, at_most(value); }
  Field& between(double low, double high) { return at_least(low).at_most(high); }
  Field& items(size_t count) { return allowed.count = count, *this; }
  Field& one_of(std::vector<std::string> choices) { return allowed.choices = std::move(choices), *this; }
  Field& never_at_infinity() { return allowed.infinity_means_never = true, *this; }
  Field& object() { return allowed.must_be_object = true, *this; }
  /// Another name for the key, just as good.
  Field& alias(std::string name) { return aliases.push_back(std::move(name)), *this; }
  /// An old name: still read, with a warning.
  Field& was(std::string name) { return old_names.push_back(std::move(name)), *this; }
  Field& from_bool(std::function<void(bool)> apply) {
    std::get<Section>(target).from_bool = std::move(apply);
    return *this;
  }

  std::string key;
  Target target;
  Allowed allowed;
  std::vector<std::string> aliases;
  std::vector<std::string> old_names;
};

template <class T>
Field field(std::string key, T& member) {
  return Field(std::move(key), &member);
}

/// A section that always exists, with its defaults.
template <class T>
Field section(std::string key, T& member) {
  return Field(std::move(key), Section{.open = [&member] { return fields(member); }, .exists = [] { return true; }});
}

/// A section that is absent unless the config has it.
template <class T>
Field section(std::string key, std::optional<T>& member) {
  auto open = [&member] {
    if (!member) member.emplace();
    return fields(*member);
  };
  return Field(std::move(key), Section{.open = open, .exists = [&member] { return member.has_value(); }});
}

/// A list of objects.
template <class T>
Field section_list(std::string key, std::vector<T>& member) {
  SectionGroup group;
  group.add = [&member](const std::string&) { return fields(member.emplace_back()); };
  group.items = [&member] {
    std::vector<std::pair<std::string, Fields>> items;
    for (size_t i = 0; i < member.size(); ++i) items.emplace_back("[" + std::to_string(i) + "]", fields(member[i]));
    return items;
  };
  return Field(std::move(key), std::move(group));
}

/// An object of objects, whose keys are free names.
template <class T>
Field section_map(std::string key, std::map<std::string, T>& member) {
  SectionGroup group;
  group.named = true;
  group.add = [&member](const std::string& name) { return fields(member[name]); };
  group.items = [&member] {
    std::vector<std::pair<std::string, Fields>> items;
    items.reserve(member.size());
    for (auto& [name, value] : member) items.emplace_back("." + name, fields(value));
    return items;
  };
  return Field(std::move(key), std::move(group));
}

}  // namespace deepspeed::config
