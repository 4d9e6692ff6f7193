#include "config/reader.h"

#include <algorithm>

#include "config/known_keys.h"
#include "config/nearest.h"
#include "config/text.h"
#include "config/value.h"
#include "deepspeed/error.h"

namespace deepspeed::config {
namespace {

using nlohmann::json;

bool is_auto(const json& value) { return value.is_string() && value.get_ref<const std::string&>() == "auto"; }

bool has_spelling(const Field& field, const std::string& key) {
  const auto has = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), key) != names.end();
  };
  return field.key == key || has(field.aliases) || has(field.old_names);
}

bool is_given(const Field& field, const json& object) {
  const auto is_key = [&](const std::string& name) { return object.contains(name); };
  return is_key(field.key) || std::any_of(field.aliases.begin(), field.aliases.end(), is_key) ||
         std::any_of(field.old_names.begin(), field.old_names.end(), is_key);
}

}  // namespace

std::vector<std::string> spellings(const Fields& fields) {
  std::vector<std::string> names;
  for (const auto& field : fields) {
    for (auto& name : spellings(field)) names.push_back(std::move(name));
  }
  return names;
}

std::vector<std::string> spellings(const Field& field) {
  std::vector<std::string> names = {field.key};
  names.insert(names.end(), field.aliases.begin(), field.aliases.end());
  names.insert(names.end(), field.old_names.begin(), field.old_names.end());
  return names;
}

void Reader::read_object(const Fields& fields, const json& object, const std::string& path,
                         const UnknownKey& on_unknown) {
  for (const auto& [key, value] : object.items()) {
    const auto knows = [&key = key](const Field& field) { return has_spelling(field, key); };
    if (std::any_of(fields.begin(), fields.end(), knows)) continue;
    if (!on_unknown) reject_key(fields, key, path);
    on_unknown(key);
  }
  for (const auto& field : fields) {
    if (is_given(field, object)) read_field(field, object, path);
  }
}

void Reader::read_field(const Field& field, const json& object, const std::string& path) {
  const std::string field_path = join_path(path, field.key);
  std::string found;  // the spelling that the object uses
  for (const auto& name : spellings(field)) {
    if (!object.contains(name)) continue;
    if (!found.empty()) {
      provenance_.fail(field_path,
                       concat("given twice, as \"", found, "\" and as \"", name, "\". Keep \"", field.key, "\"."));
    }
    found = name;
  }
  Field target = field;  // same members, ours to change
  if (found == field.key) return apply(target, object.at(found), field_path);
  const std::string found_path = join_path(path, found);
  provenance_.set_spelling(field_path, found_path);
  apply(target, object.at(found), field_path);
  if (std::count(field.old_names.begin(), field.old_names.end(), found) == 0) return;
  warnings_.push_back(concat(found_path, " is the old name of ", field_path, ". Use the new one."));
  if (provenance_.origin(field_path) == Origin::kGiven) {
    provenance_.set(field_path, Origin::kDeprecated, found_path);
  }
}

void Reader::apply(Field& field, const json& value, const std::string& path) {
  if (is_auto(value)) return provenance_.set(path, Origin::kAuto);
  if (std::holds_alternative<Section>(field.target)) return apply_section(field, value, path);
  if (std::holds_alternative<SectionGroup>(field.target)) return apply_group(field, value, path);
  const bool is_free_form = std::holds_alternative<json*>(field.target);
  if (!assign_value(field, is_free_form ? without_auto(value, path) : value)) reject_value(field, value, path);
  provenance_.set(path, Origin::kGiven);
}

void Reader::apply_section(Field& field, const json& value, const std::string& path) {
  const auto& section = std::get<Section>(field.target);
  if (value.is_null()) return;
  if (value.is_boolean() && section.from_bool) {
    section.from_bool(value.get<bool>());
    warnings_.push_back(
        concat(path, ": a bare ", show_value(value), " is deprecated. Write an object: \"", field.key, "\": {...}."));
    return provenance_.set(path, Origin::kDeprecated, path);
  }
  if (!value.is_object()) reject_value(field, value, path);
  provenance_.set(path, Origin::kGiven);
  read_object(section.open(), value, path);
}

void Reader::apply_group(Field& field, const json& value, const std::string& path) {
  const auto& group = std::get<SectionGroup>(field.target);
  if (value.is_null()) return;
  if (group.named ? !value.is_object() : !value.is_array()) reject_value(field, value, path);
  provenance_.set(path, Origin::kGiven);
  for (const auto& [name, item] : value.items()) {  // a list's names are its indices
    const std::string item_path = group.named ? join_path(path, name) : concat(path, "[", name, "]");
    if (!item.is_object()) {
      provenance_.fail(item_path, concat("got ", show_value(item), ", expected an object"));
    }
    read_object(group.add(name), item, item_path);
  }
}

// Free-form JSON without its "auto" members: who builds from it then uses its own defaults.
json Reader::without_auto(const json& value, const std::string& path) {
  if (!value.is_object()) return value;
  auto kept = json::object();
  for (const auto& [key, member] : value.items()) {
    const std::string member_path = join_path(path, key);
    if (is_auto(member)) {
      provenance_.set(member_path, Origin::kAuto);
    } else {
      provenance_.set(member_path, Origin::kGiven);
      kept[key] = without_auto(member, member_path);
    }
  }
  return kept;
}

void Reader::reject_key(const Fields& fields, const std::string& key, const std::string& path) {
  const auto names = spellings(fields);
  const Nearest nearest = find_nearest(key, names);
  const std::string key_path = join_path(path, key);
  std::string remedy;
  if (is_likely_typo(key, nearest)) {
    remedy = concat("Did you mean ", quote_list(nearest.names), "?");
  } else if (const auto places = sections_with_key(key); !places.empty()) {
    remedy = concat("This key belongs in ", quote_list(places), "; the nearest one here is ", quote_list(nearest.names),
                    ".");
  } else {
    remedy = concat("The nearest one is ", quote_list(nearest.names), ".");
  }
  provenance_.fail(key_path, concat("unknown key \"", key, "\" in ", path, ". ", remedy));
}

void Reader::reject_value(const Field& field, const json& value, const std::string& path) {
  std::string remedy;
  if (value.is_null()) {
    remedy = concat(" Leave the key out for the default, ", show_value(current_value(field)), ".");
  } else if (value.is_string() && !field.allowed.choices.empty()) {
    const auto& text = value.get_ref<const std::string&>();
    const Nearest nearest = find_nearest(text, field.allowed.choices);
    if (is_likely_typo(text, nearest)) remedy = concat(" Did you mean ", quote_list(nearest.names), "?");
  }
  provenance_.fail(path, concat("got ", show_value(value), ", expected ", describe_expected(field), ".", remedy));
}

}  // namespace deepspeed::config
