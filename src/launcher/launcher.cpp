// Gathers the facts that the plan needs, chooses how ranks are started, and hands over.
#include "launcher/launcher.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <exception>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <system_error>
#include <variant>

#include "core/environment.h"
#include "core/file.h"
#include "core/log.h"
#include "deepspeed/error.h"
#include "launcher/agent.h"
#include "launcher/console_overseer.h"
#include "launcher/controller.h"
#include "launcher/controller_setup.h"
#include "launcher/environment_values.h"
#include "launcher/hand_over.h"
#include "launcher/launch_plan.h"
#include "launcher/master_address.h"
#include "launcher/open_files.h"
#include "launcher/pid_file.h"
#include "launcher/reserved_port.h"
#include "launcher/restart.h"
#include "launcher/runner.h"
#include "launcher/slurm_step.h"
#include "launcher/ssh_command.h"
#include "launcher/standard_descriptors.h"
#include "launcher/supervisor.h"
#include "launcher/task.h"
#include "launcher/venv_script.h"

namespace deepspeed::launcher {
namespace {

constexpr const char* kDefaultHostfile = "/job/hostfile";
constexpr int kBadInputExit = 2;
constexpr int kFailedExit = 1;
constexpr const char* kSharedPortRemedy = "add --master_port N, the same everywhere";

std::string timestamp_now() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  char text[32] = "";
  std::strftime(text, sizeof(text), "%Y%m%d%H%M%S", &local);
  return text;
}

void read_hostfile(const Options& options, PlanInputs& inputs) {
  std::error_code error;
  inputs.hostfile_path = options.hostfile.value_or(kDefaultHostfile);
  const bool exists = std::filesystem::exists(inputs.hostfile_path, error);
  DS_CHECK(exists || !options.hostfile, ValueError, "[launcher] --hostfile ", inputs.hostfile_path,
           ": no such file. Leave --hostfile out to run on this host.");
  if (exists) inputs.hostfile_text = core::read_file(inputs.hostfile_path);
}

// Only an address of this host says something about a port here.
ReservedPort reserve_port(const Options& options, const Machine& machine) {
  const bool is_here = options.master_addr.empty() || machine.names.count(options.master_addr) == 1;
  return ReservedPort(is_here ? options.master_port.value_or(0) : 0);
}

std::unique_ptr<PidFile> write_pid_file(const Options& options) {
  if (!options.save_pid) return nullptr;
  auto pid_file = std::make_unique<PidFile>();
  std::cout << "launcher pid: " << ::getpid() << std::endl;
  return pid_file;
}

Outcome run_plan(const Options& options, const PlanInputs& inputs, const LaunchPlan& plan) {
  log_plan(plan);
  const int collapses_lines_of = options.collapse_lines ? static_cast<int>(plan.ranks.size()) : 0;
  ConsoleOverseer overseer(plan.ranks.front().rank, collapses_lines_of);
  const auto result = Supervisor(plan, inputs.machine.host_name, overseer).run();
  overseer.finish(result.signal);
  return {.exit_code = result.exit_code,
          .is_by_signal = result.signal != 0,
          .reason = overseer.failure() ? failure_in_short(*overseer.failure()) : ""};
}

RestartPolicy restart_policy(const Options& options, const std::vector<Host>& hosts) {
  const SeveralHostsOptions& several = options.several_hosts;
  DS_CHECK(static_cast<size_t>(several.min_nodes) <= hosts.size(), ValueError, "[launcher] --min_nodes ",
           several.min_nodes, ": the launch has ", hosts.size(), " hosts.");
  return {.max_restarts = several.max_restarts, .min_nodes = several.min_nodes};
}

// Names of log files differ between attempts, however quickly one follows another.
std::string timestamp_of(const std::string& first, int num_restarts) {
  return num_restarts == 0 ? first : concat(first, "_restart", num_restarts);
}

int launch_here(const Options& options, PlanInputs& inputs) {
  const ReservedPort port = reserve_port(options, inputs.machine);
  const RestartPolicy policy = restart_policy(options, inputs.hosts);
  if (!options.master_addr.empty()) inputs.master_addr = options.master_addr;
  inputs.master_port = options.master_port.value_or(port.port());
  const auto pid_file = write_pid_file(options);
  const std::string timestamp = inputs.timestamp;
  for (int num_restarts = 0;; ++num_restarts) {
    inputs.timestamp = timestamp_of(timestamp, num_restarts);
    LaunchPlan plan = plan_launch(options, inputs);
    for (RankPlan& rank : plan.ranks) {
      for (const auto& variable : restart_variables(policy, num_restarts)) rank.environment.push_back(variable);
    }
    const Outcome outcome = run_plan(options, inputs, plan);
    const Decision decision = decide_on_restart(policy, inputs.hosts, outcome, num_restarts);
    std::cerr << decision.line << std::flush;
    if (!decision.starts_again) return outcome.exit_code;
  }
}

// Of the hosts that are left, with what starts their agents.
void keep_hosts(const std::vector<Host>& hosts, ControllerSetup& setup) {
  ControllerSetup kept = setup;
  kept.order.hosts = hosts;
  kept.commands.clear();
  for (size_t i = 0; i < setup.order.hosts.size(); ++i) {
    const bool is_left = std::find(hosts.begin(), hosts.end(), setup.order.hosts[i]) != hosts.end();
    if (is_left) kept.commands.push_back(setup.commands[i]);
  }
  const bool is_first_left = hosts.front() == setup.order.hosts.front();
  if (!is_first_left) kept.order.master_addr.clear();  // rank 0 has moved
  setup = std::move(kept);
}

int launch_on_hosts(const Options& options, ControllerSetup setup) {
  const RestartPolicy policy = restart_policy(options, setup.order.hosts);
  const auto pid_file = write_pid_file(options);
  const std::string timestamp = setup.order.timestamp;
  for (int num_restarts = 0;; ++num_restarts) {
    setup.order.timestamp = timestamp_of(timestamp, num_restarts);
    for (const auto& [name, value] : restart_variables(policy, num_restarts)) setup.order.environment[name] = value;
    const Outcome outcome = Controller(setup).run();
    const Decision decision = decide_on_restart(policy, setup.order.hosts, outcome, num_restarts);
    std::cerr << decision.line << std::flush;
    if (!decision.starts_again) return outcome.exit_code;
    keep_hosts(decision.hosts, setup);
  }
}

// The other hosts' launchers cannot be asked, so what is not given is what they assume too.
int launch_by_hand(const Options& options, PlanInputs& inputs) {
  DS_CHECK(!options.master_addr.empty() || inputs.hostfile_text || inputs.job, ValueError,
           "[launcher] --no_ssh needs --master_addr, the address of the host with --node_rank 0.");
  inputs.host_index = static_cast<size_t>(options.several_hosts.node_rank);
  inputs.master_addr = options.master_addr.empty() ? address_of(inputs.hosts.front().name) : options.master_addr;
  inputs.master_port = options.master_port.value_or(kDefaultPort);
  if (inputs.hosts.size() > 1) choose_gloo_interface(inputs.master_addr);
  std::optional<ReservedPort> port;
  if (inputs.host_index == 0) port.emplace(inputs.master_port, kSharedPortRemedy);
  const auto pid_file = write_pid_file(options);
  return run_plan(options, inputs, plan_launch(options, inputs)).exit_code;
}

// What srun or mpirun has decided already.
void check_task_flags(const Options& options, const Task& task) {
  const SeveralHostsOptions& several = options.several_hosts;
  const auto refuse = [&](bool is_given, const std::string& flag) {
    DS_CHECK(
        !is_given, ValueError, "[launcher] ", flag, ": ", task.started_by, " has started ", task.num_tasks,
        " of these commands and so chosen hosts and ranks. Leave the flag out, or start the command once, without ",
        task.started_by, ".");
  };
  refuse(options.hostfile.has_value(), "--hostfile");
  refuse(!options.include.empty(), "--include");
  refuse(!options.exclude.empty(), "--exclude");
  refuse(several.num_nodes != -1, "--num_nodes");
  refuse(several.node_rank != -1, "--node_rank");
  refuse(several.max_restarts != 0, "--max_restarts");
  refuse(several.launcher == "ssh" || several.launcher == "local" || several.launcher == "pdsh",
         "--launcher " + several.launcher);
  refuse(!task.is_for_host && options.num_gpus.value_or(task.local_size) != task.local_size, "--num_gpus");
}

std::string address_for_tasks(const Options& options, const PlanInputs& inputs, const Task& task) {
  if (!options.master_addr.empty()) return options.master_addr;
  if (const auto given = variable(inputs.environment, "MASTER_ADDR"); !given.empty()) return given;
  if (task.local_size == task.num_tasks) return "127.0.0.1";
  DS_CHECK(task.started_by == "srun", ValueError,
           "[launcher] mpirun does not say which host rank 0 is on. Add "
           "--master_addr ADDRESS, or start the command once, with --launcher openmpi or mpich.");
  const std::string& name = inputs.job->hosts.front().name;
  DS_CHECK(!own_address_towards(name).empty(), ValueError, "[launcher] the step's first host is ", name,
           " for Slurm, a name that leads nowhere from here. Add --master_addr ADDRESS, with an address of that host.");
  return name;
}

int port_for_tasks(const Options& options, const PlanInputs& inputs, const Task& task) {
  if (options.master_port) return *options.master_port;
  if (const auto given = core::environment_integer("MASTER_PORT")) {
    DS_CHECK(*given >= 1 && *given <= kLargestPort, ValueError, "[launcher] MASTER_PORT: got ", *given,
             ", expected 1 to ", kLargestPort, ". Unset it, or add --master_port N, the same everywhere.");
    return static_cast<int>(*given);
  }
  return task.started_by == "srun" ? inputs.job->shared_port : kDefaultPort;
}

// The same command runs elsewhere too, and the others cannot be asked: all follows from what each of them sees.
int launch_task(const Options& options, PlanInputs& inputs, const Task& task) {
  check_task_flags(options, task);
  inputs.hostfile_text.reset();  // /job/hostfile says nothing about a step
  inputs.master_addr = address_for_tasks(options, inputs, task);
  inputs.master_port = port_for_tasks(options, inputs, task);
  if (task.local_size < task.num_tasks) choose_gloo_interface(inputs.master_addr);
  std::optional<ReservedPort> port;
  if (task.rank == 0) port.emplace(inputs.master_port, kSharedPortRemedy);
  if (task.is_for_host) {
    inputs.hosts = choose_hosts(options, inputs);
    inputs.host_index = static_cast<size_t>(task.host_index);
  }
  const LaunchPlan plan = task.is_for_host ? plan_launch(options, inputs) : plan_task(options, inputs, task);
  const auto pid_file = write_pid_file(options);
  const Outcome outcome = run_plan(options, inputs, plan);
  const bool has_failed = outcome.exit_code != 0 && !outcome.is_by_signal;
  if (has_failed && task.started_by == "srun") end_slurm_step(inputs.environment);  // mpirun ends the others itself
  return outcome.exit_code;
}

std::vector<std::filesystem::path> source_venv_script(const Options& options, PlanInputs& inputs) {
  if (options.several_hosts.venv_script.empty()) return {};
  VenvScript script(options.several_hosts.venv_script, inputs.machine.host_name);
  while (!script.is_done()) {
    std::vector<Watch> watches;
    script.add_watches(watches);
    wait_for(watches, std::chrono::steady_clock::time_point::max());
  }
  auto folders = script.apply();
  inputs.environment = environment_map();
  return folders;
}

// For ranks of this process, in the environment that --venv_script makes, if it is given.
void find_command(const Options& options, const std::string& invoked_as, PlanInputs& inputs) {
  const auto others = program_folders(invoked_as, inputs.environment);  // the script may set another PATH
  auto folders = source_venv_script(options, inputs);
  folders.insert(folders.end(), others.begin(), others.end());
  inputs.command = resolve_command(options, folders, inputs.environment);
}

int launch(const std::vector<std::string>& arguments, const Options& options, const std::string& invoked_as) {
  core::set_log_level(options.log_level);
  require_landed(options.several_hosts);
  PlanInputs inputs;
  inputs.environment = environment_map();
  read_hostfile(options, inputs);
  inputs.machine = read_machine("/", usable_cpus());
  inputs.timestamp = timestamp_now();
  inputs.job = find_slurm_job(inputs.environment);
  if (inputs.job && !inputs.job->this_host.empty()) {
    inputs.machine.host_name = inputs.job->this_host;
    inputs.machine.names.insert(inputs.job->this_host);
  }
  const auto task = options.several_hosts.no_ssh ? std::nullopt : find_task(inputs.environment);
  if (task) {
    find_command(options, invoked_as, inputs);
    return launch_task(options, inputs, *task);
  }
  inputs.hosts = choose_hosts(options, inputs);
  const Runner runner = choose_runner(options, inputs);
  for (const std::string& flag : flags_without_effect(runner, options)) {
    core::log_warning("[launcher] ", flag, " has no effect: what starts these ranks has no such thing.");
  }
  if (runner == Runner::kSsh || runner == Runner::kSlurm || runner == Runner::kLocalAgents) {
    return launch_on_hosts(options, set_up_controller(runner, arguments, options, inputs, invoked_as));
  }
  if (runner != Runner::kHere && runner != Runner::kByHand) hand_over(runner, arguments, options, inputs, invoked_as);
  find_command(options, invoked_as, inputs);
  return runner == Runner::kByHand ? launch_by_hand(options, inputs) : launch_here(options, inputs);
}

int say_error(const std::exception& error, int exit_code) {
  std::cerr << "deepspeed: error: " << error.what() << std::endl;
  return exit_code;
}

}  // namespace

int run(int argc, const char* const* argv) {
  open_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);  // a reader that goes away is not why a launch ends; children get the default back
  raise_open_files();
  try {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    if (arguments == std::vector<std::string>{kAgentFlag}) return run_agent(argv[0]);
    auto parsed = parse_options(arguments);
    if (const auto* help = std::get_if<HelpText>(&parsed)) {
      std::cout << help->text << std::flush;
      return 0;
    }
    return launch(arguments, std::get<Options>(parsed), argv[0]);
  } catch (const ValueError& error) {
    return say_error(error, kBadInputExit);
  } catch (const NotSupported& error) {
    return say_error(error, kBadInputExit);
  } catch (const std::exception& error) {
    return say_error(error, kFailedExit);
  }
}

}  // namespace deepspeed::launcher
