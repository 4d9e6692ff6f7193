// One JSON value into one typed member and back: DeepSpeed's lenient conversions, and sentences about what is expected.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "config/field.h"

namespace deepspeed::config {

/// Stores `value` in the field's target (no section) and returns true; returns false and leaves the target alone where
/// type or value do not fit. Integral floats and numeric text are integers; "true", "yes", "on" and 1 are true; a
/// single item stands for a list of it; dtypes and choices are read in any case.
bool assign_value(Field& field, const nlohmann::json& value);

/// What assign_value accepts, in words: "an integer from 0 to 3".
std::string describe_expected(const Field& field);

/// The member as JSON, a null where an optional is empty. Sections give null.
nlohmann::json current_value(const Field& field);

/// JSON text on one line, cut where it is long; numbers in their shortest form, infinities as Python writes them.
std::string show_value(const nlohmann::json& value);

}  // namespace deepspeed::config
