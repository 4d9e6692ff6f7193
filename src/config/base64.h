// Base64, since DeepSpeed's launcher and Hugging Face hand a whole config over as one url-safe base64 argument.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace deepspeed::config {

/// Both alphabets ("-_" and "+/") are read, padding may be absent. Nothing where `text` is no base64.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace deepspeed::config
