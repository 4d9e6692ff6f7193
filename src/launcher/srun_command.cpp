// The words of srun.
#include "launcher/srun_command.h"

#include "deepspeed/error.h"
#include "launcher/ssh_command.h"

namespace deepspeed::launcher {

std::vector<std::string> srun_command(const SrunOptions& options, const std::string& host,
                                      const std::string& agent_path) {
  // --input and --output in words: the user's SLURM_STDINMODE and SLURM_STDOUTMODE are not for the connection.
  std::vector<std::string> command = {options.program, "--nodes=1",       "--ntasks=1",  concat("--nodelist=", host),
                                      "--overlap",     "--cpu-bind=none", "--input=all", "--output=all"};
  command.insert(command.end(), options.arguments.begin(), options.arguments.end());
  command.insert(command.end(), {"--", agent_path, kAgentFlag});
  return command;
}

}  // namespace deepspeed::launcher
