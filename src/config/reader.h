// Fills the fields of a section from a JSON object: names, aliases, old names, conversions, "auto", unknown keys.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config/field.h"
#include "config/provenance.h"

namespace deepspeed::config {

class Reader {
 public:
  /// Both must outlive the reader; it adds to them.
  Reader(Provenance& provenance, std::vector<std::string>& warnings) : provenance_(provenance), warnings_(warnings) {}

  /// Called with each key that no field has; returns where it may stay.
  using UnknownKey = std::function<void(const std::string& key)>;

  /// Reads `object`, which stands at `path`. A key that no field has is a ConfigError that names the nearest ones, or
  /// goes to `on_unknown`.
  void read_object(const Fields& fields, const nlohmann::json& object, const std::string& path,
                   const UnknownKey& on_unknown = {});

 private:
  void read_field(const Field& field, const nlohmann::json& object, const std::string& path);
  void apply(Field& field, const nlohmann::json& value, const std::string& path);
  void apply_section(Field& field, const nlohmann::json& value, const std::string& path);
  void apply_group(Field& field, const nlohmann::json& value, const std::string& path);
  nlohmann::json without_auto(const nlohmann::json& value, const std::string& path);
  [[noreturn]] void reject_key(const Fields& fields, const std::string& key, const std::string& path);
  [[noreturn]] void reject_value(const Field& field, const nlohmann::json& value, const std::string& path);

  Provenance& provenance_;
  std::vector<std::string>& warnings_;
};

/// Every spelling that a section reads: keys, aliases, old names.
std::vector<std::string> spellings(const Fields& fields);
std::vector<std::string> spellings(const Field& field);

}  // namespace deepspeed::config
