// The config as it is in force, for programs to read.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace deepspeed::config {

struct Config;

/// Every key with its value, defaults filled in, nested as in a ds_config.json; absent optional sections are null.
nlohmann::json effective_json(const Config& config);

}  // namespace deepspeed::config
