// What goes to the agents of a launch, and how they are started.
#pragma once

#include <string>
#include <vector>

#include "launcher/controller.h"
#include "launcher/launch_plan.h"
#include "launcher/runner.h"

namespace deepspeed::launcher {

/// For the runners with agents, from the current folder. Says, once, at the info level, which variables go along.
/// Throws ValueError where ssh or srun is not there or an environment file is bad.
ControllerSetup set_up_controller(Runner runner, const std::vector<std::string>& arguments, const Options& options,
                                  const PlanInputs& inputs, const std::string& invoked_as);

}  // namespace deepspeed::launcher
