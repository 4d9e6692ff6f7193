// Ending the Slurm step that this process is a task of.
#pragma once

#include "launcher/command.h"

namespace deepspeed::launcher {

/// Sends SIGTERM to all tasks of the step, through scancel. Slurm lets them run on after one has failed, unless srun
/// was given --kill-on-bad-exit. This process, which is about to end, ignores it. Waits for scancel; says so on
/// standard error where it fails or is not on PATH.
void end_slurm_step(const Environment& environment);

}  // namespace deepspeed::launcher
