// The command line of `ds_plan`.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "plan/scaling.h"

namespace deepspeed::plan {

struct PlanOptions {
  ScalingQuestion question;
  bool json = false;
  std::string plot;  ///< path of the SVG; empty: none
};

struct PlanHelp {
  std::string text;
};

/// Reads the arguments without the program's name, and the files that they name. Throws ValueError that names the flag
/// and its value, IoError for a file.
std::variant<PlanOptions, PlanHelp> parse_plan_options(const std::vector<std::string>& arguments);

/// "4", "1,2,4", or "1:128" for the powers of two times 1 up to 128. Throws ValueError, naming `flag`.
std::vector<int> parse_counts(std::string_view flag, const std::string& text);

}  // namespace deepspeed::plan
