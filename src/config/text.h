// The text of a ds_config.json as a JSON value: JSON with //, # and /* */ comments, trailing commas, Infinity and NaN.
// Any byte string gives a value or a ConfigError with line, column and the line itself; it never crashes.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace deepspeed::config {

/// Deeper nesting than this is refused, so that no text can exhaust the stack.
inline constexpr int kMaxDepth = 256;

struct Text {
  nlohmann::json value;              ///< always an object
  std::map<std::string, int> lines;  ///< path of each key ("zero_optimization.stage") to its line, from 1
};

/// `origin` names the text in errors: a file name or "the config argument".
/// Throws ConfigError on a syntax error, a key given twice at any depth, or a root that is no object.
Text parse_text(std::string_view text, std::string_view origin);

/// "a.b" or, at the root, "b".
std::string join_path(std::string_view parent, std::string_view key);

}  // namespace deepspeed::config
