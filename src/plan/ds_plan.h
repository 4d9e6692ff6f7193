// The `ds_plan` program: from its arguments to its exit code.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace deepspeed::plan {

/// 0; 2 with one line on `err` for bad input, 1 where the plot cannot be written. Throws nothing.
int run_ds_plan(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

}  // namespace deepspeed::plan
