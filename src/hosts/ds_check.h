// The `ds_check` program: everything that keeps hosts from training together, in one report.
#pragma once

#include "hosts/tool.h"

namespace deepspeed::hosts {

/// 0; 1 where there is an error (warnings alone are 0); 2 for bad input.
int run_ds_check(const ToolCall& call);

}  // namespace deepspeed::hosts
