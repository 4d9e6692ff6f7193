// The config as it is in force, for the user to read.
#pragma once

#include <string>

namespace deepspeed::config {

struct Config;

/// Aligned lines "path = value  (origin)" for every key: first what differs from the defaults or was given, then the
/// rest. Absent optional sections are one line.
std::string effective_config(const Config& config);

/// Markdown: one table of all keys a section with type, default, other spellings and what is not built yet. The
/// documentation's page of keys is this text.
std::string config_reference();

}  // namespace deepspeed::config
