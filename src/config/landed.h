// What this version cannot do yet, and keys whose value changes nothing in this engine. One table: a capability that
// lands takes its line out of it.
#pragma once

#include <string>
#include <vector>

namespace deepspeed::config {

struct Config;

enum class Missing {
  kRefused,  ///< the value changes results or what fits into memory: an error
  kIgnored,  ///< the value changes speed or what is shown: a warning
  kNothing,  ///< the engine has no such choice, and results are the same: a warning
};

struct NotLanded {
  const char* path;                ///< of the key
  bool (*is_used)(const Config&);  ///< whether the config asks for it
  Missing effect;
  const char* capability;  ///< what is missing, as the subject of a sentence; with kNothing what happens, as a sentence
  const char* remedy;      ///< what to write instead
};

/// The whole table.
const std::vector<NotLanded>& not_landed();

/// Throws ConfigError for the first refused value and adds a warning for each other one.
void check_landed(Config& config);

}  // namespace deepspeed::config
