// Variables, files and commands.
#include "launcher/controller_setup.h"

#include <filesystem>

#include "core/log.h"
#include "deepspeed/error.h"
#include "launcher/carried.h"
#include "launcher/exported_environment.h"
#include "launcher/srun_command.h"
#include "launcher/ssh_command.h"

namespace deepspeed::launcher {
namespace {

constexpr std::chrono::minutes kScriptPatience{10};  // --venv_script may set up what it activates

std::string find_ssh(const Environment& environment) {
  const auto ssh = find_on_path("ssh", environment);
  DS_CHECK(
      ssh, ValueError,
      "[launcher] several hosts need ssh, which is not on PATH. Install openssh-client, or start the command on each "
      "host with --no_ssh.");
  return ssh->string();
}

std::string find_srun(const Environment& environment) {
  const auto srun = find_on_path("srun", environment);
  DS_CHECK(
      srun, ValueError,
      "[launcher] in a Slurm job hosts are reached through srun, which is not on PATH. Add Slurm's folder to PATH, or "
      "pass --launcher ssh.");
  return srun->string();
}

// What starts each host's agent.
std::vector<std::vector<std::string>> agent_commands(Runner runner, const Options& options, const PlanInputs& inputs,
                                                     const std::string& agent_path) {
  const SeveralHostsOptions& several = options.several_hosts;
  const auto words = split_words(several.launcher_args);
  std::vector<std::vector<std::string>> commands;
  if (runner == Runner::kSsh) {
    const SshOptions ssh{.program = find_ssh(inputs.environment), .port = several.ssh_port, .arguments = words};
    for (const Host& host : inputs.hosts) commands.push_back(ssh_command(ssh, host.name, agent_path));
  } else if (runner == Runner::kSlurm) {
    const SrunOptions srun{.program = find_srun(inputs.environment), .arguments = words};
    for (const Host& host : inputs.hosts) commands.push_back(srun_command(srun, host.name, agent_path));
  } else {
    commands.resize(inputs.hosts.size(), {agent_path, kAgentFlag});
  }
  return commands;
}

// In a Slurm job only each host knows how many GPUs it has; flags and CPU ranks are known here.
bool do_gpus_decide(const Options& options, const PlanInputs& inputs, const Environment& exported) {
  const auto chosen = exported.find("DS_ACCELERATOR");
  const bool is_on_cpus = chosen != exported.end() && chosen->second == "cpu";
  return inputs.job && !inputs.hostfile_text && !options.num_gpus && !is_on_cpus;
}

}  // namespace

ControllerSetup set_up_controller(Runner runner, const std::vector<std::string>& arguments, const Options& options,
                                  const PlanInputs& inputs, const std::string& invoked_as) {
  ControllerSetup setup;
  const std::string folder = std::filesystem::current_path().string();
  setup.shows_pids = options.save_pid;
  setup.collapses_lines = options.collapse_lines;
  if (!options.several_hosts.venv_script.empty()) setup.plan_patience = kScriptPatience;
  setup.has_local_agents = runner == Runner::kLocalAgents;
  setup.order = {.arguments = arguments,
                 .folder = folder,
                 .environment = carried_variables(inputs.environment, folder),
                 .hosts = inputs.hosts,
                 .master_addr = options.master_addr,
                 .master_port = options.master_port.value_or(0),
                 .timestamp = inputs.timestamp};
  core::log_info("variables for all hosts: ", describe_variables(setup.order.environment));
  setup.gpus_decide_slots = do_gpus_decide(options, inputs, setup.order.environment);
  setup.commands = agent_commands(runner, options, inputs, path_of_program(invoked_as, inputs.environment));
  return setup;
}

}  // namespace deepspeed::launcher
