// Parses JSON that may come from anywhere: nesting is bounded, a key may not repeat, an integer that does not fit
// 64 bits is an error instead of a rounded float, and the order of keys is kept. Time is n log n in the text.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace deepspeed::io {

using Json = nlohmann::ordered_json;

inline constexpr int kMaxJsonDepth = 200;

/// Throws ValueError that says what is wrong at which byte. Any thread.
Json parse_json_text(std::string_view text);

}  // namespace deepspeed::io
