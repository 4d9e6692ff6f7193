// Single variables of an environment, as text and as numbers. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "launcher/command.h"

namespace deepspeed::launcher {

/// Empty where it is not set.
std::string variable(const Environment& environment, const std::string& name);

/// Throws ValueError, naming it and `set_by` (who puts it there), where it is not a whole number of at least 0.
int64_t variable_number(const Environment& environment, const std::string& name, std::string_view set_by);

}  // namespace deepspeed::launcher
