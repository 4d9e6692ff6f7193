// Launches that another program carries out: pdsh, or an MPI's mpirun, in the place of this process.
#pragma once

#include <string>
#include <vector>

#include "launcher/launch_plan.h"
#include "launcher/runner.h"

namespace deepspeed::launcher {

/// For Runner::kPdsh, kOpenMpi and kHydra, from the current folder. Says, once, at the info level, which variables go
/// along. Returns only by an exception: ValueError where the program is not on PATH or a flag is given that it cannot
/// keep, IoError where it does not start.
[[noreturn]] void hand_over(Runner runner, const std::vector<std::string>& arguments, const Options& options,
                            const PlanInputs& inputs, const std::string& invoked_as);

}  // namespace deepspeed::launcher
