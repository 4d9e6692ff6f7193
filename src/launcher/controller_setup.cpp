// Variables, files and commands.
#include "launcher/controller_setup.h"

#include <filesystem>

#include "core/file.h"
#include "core/log.h"
#include "deepspeed/error.h"
#include "launcher/exported_environment.h"
#include "launcher/srun_command.h"
#include "launcher/ssh_command.h"

namespace deepspeed::launcher {
namespace {

constexpr const char* kEnvironmentFile = ".deepspeed_env";

std::string variable(const Environment& environment, const char* name, const char* otherwise) {
  const auto found = environment.find(name);
  return found == environment.end() || found->second.empty() ? otherwise : found->second;
}

// Where this program was called, without following links: beside it may be the Python of a virtual environment.
std::string path_of_program(const std::string& invoked_as, const Environment& environment) {
  if (invoked_as.find('/') != std::string::npos) return std::filesystem::absolute(invoked_as).lexically_normal();
  const auto found = find_on_path(invoked_as, environment);
  return std::filesystem::absolute(found ? *found : std::filesystem::read_symlink("/proc/self/exe"));
}

// The home folder's file, then the current folder's, which wins.
Environment variables_for_hosts(const Environment& environment, const std::string& folder) {
  Environment variables = exported_variables(environment, folder);
  const std::string name = variable(environment, "DS_ENV_FILE", kEnvironmentFile);
  for (const std::string& place : {variable(environment, "HOME", "/"), folder}) {
    const auto path = std::filesystem::path(place) / name;
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) continue;
    for (const auto& [key, value] : parse_environment_file(core::read_file(path), path.string())) {
      variables[key] = value;
    }
  }
  return variables;
}

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
  return inputs.job && !inputs.hostfile_text && !options.num_gpus && variable(exported, "DS_ACCELERATOR", "") != "cpu";
}

}  // namespace

ControllerSetup set_up_controller(Runner runner, const std::vector<std::string>& arguments, const Options& options,
                                  const PlanInputs& inputs, const std::string& invoked_as) {
  ControllerSetup setup;
  const std::string folder = std::filesystem::current_path().string();
  setup.shows_pids = options.save_pid;
  setup.collapses_lines = options.collapse_lines;
  setup.order = {.arguments = arguments,
                 .folder = folder,
                 .environment = variables_for_hosts(inputs.environment, folder),
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
