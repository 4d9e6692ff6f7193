// Questions about the whole schema: all paths, where a key stands, one field of a config.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/field.h"

namespace deepspeed::config {

struct Config;

/// Visits every field below `fields`, parents first, opening optional sections on the way. An item of a list stands
/// for all as "[]", one of an object of objects as "<name>".
using FieldVisitor = std::function<void(const std::string& path, Field& field)>;
void walk_fields(Fields fields, const std::string& path, const FieldVisitor& visit);

/// True for the path of a key that may stand in a config, with any spelling: "zero_optimization.reduce_bucket_size".
bool is_known_path(const std::string& path);

/// The sections (paths) in which `key` may stand; at most three.
std::vector<std::string> sections_with_key(const std::string& key);

/// The field at `path` in `config`. Nothing where there is none, or where it is in an absent section.
std::optional<Field> find_field(Config& config, const std::string& path);

}  // namespace deepspeed::config
