// One scancel.
#include "launcher/slurm_step.h"

#include <sys/wait.h>

#include <cerrno>
#include <csignal>

#include "core/log.h"
#include "core/subprocess.h"
#include "deepspeed/error.h"
#include "launcher/failure_report.h"

namespace deepspeed::launcher {

void end_slurm_step(const Environment& environment) {
  const auto scancel = find_on_path("scancel", environment);
  const std::string step = concat(environment.at("SLURM_JOB_ID"), ".", environment.at("SLURM_STEP_ID"));
  int status = -1;
  if (scancel) {
    std::signal(SIGTERM, SIG_IGN);  // we are a task of the step too, and have an exit code to give
    const pid_t pid = core::spawn(
        {.command = {scancel->string(), "--quiet", "--signal=TERM", step}, .environment = core::current_environment()});
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
  }
  if (!scancel || exit_code_of(status) != 0) {
    core::log_warning(
        "[launcher] the step's other tasks were not told: ", scancel ? "scancel failed" : "no scancel on PATH",
        ". Give srun --kill-on-bad-exit, so that Slurm ends them.");
  }
}

}  // namespace deepspeed::launcher
