// Gathers the facts that the plan needs, chooses how ranks are started, and hands over.
#include "launcher/launcher.h"

#include <unistd.h>

#include <ctime>
#include <exception>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <system_error>
#include <variant>

#include "core/file.h"
#include "core/log.h"
#include "deepspeed/error.h"
#include "launcher/agent.h"
#include "launcher/console_overseer.h"
#include "launcher/controller.h"
#include "launcher/controller_setup.h"
#include "launcher/launch_plan.h"
#include "launcher/master_address.h"
#include "launcher/pid_file.h"
#include "launcher/reserved_port.h"
#include "launcher/runner.h"
#include "launcher/ssh_command.h"
#include "launcher/standard_descriptors.h"
#include "launcher/supervisor.h"

namespace deepspeed::launcher {
namespace {

constexpr const char* kDefaultHostfile = "/job/hostfile";
constexpr int kDefaultPort = 29500;  // as torch and DeepSpeed have it
constexpr int kBadInputExit = 2;
constexpr int kFailedExit = 1;

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

int run_here(const Options& options, const PlanInputs& inputs) {
  const LaunchPlan plan = plan_launch(options, inputs);
  log_plan(plan);
  const auto pid_file = write_pid_file(options);
  ConsoleOverseer overseer(plan.ranks.front().rank);
  const auto result = Supervisor(plan, inputs.machine.host_name, overseer).run();
  overseer.finish(result.signal);
  return result.exit_code;
}

int launch_here(const Options& options, PlanInputs& inputs) {
  const ReservedPort port = reserve_port(options, inputs.machine);
  if (!options.master_addr.empty()) inputs.master_addr = options.master_addr;
  inputs.master_port = options.master_port.value_or(port.port());
  return run_here(options, inputs);
}

// The other hosts' launchers cannot be asked, so what is not given is what they assume too.
int launch_by_hand(const Options& options, PlanInputs& inputs) {
  DS_CHECK(!options.master_addr.empty() || inputs.hostfile_text, ValueError,
           "[launcher] --no_ssh needs --master_addr, the address of the host with --node_rank 0.");
  inputs.host_index = static_cast<size_t>(options.several_hosts.node_rank);
  inputs.master_addr = options.master_addr.empty() ? inputs.hosts.front().name : options.master_addr;
  inputs.master_port = options.master_port.value_or(kDefaultPort);
  if (inputs.hosts.size() > 1) choose_gloo_interface(inputs.master_addr);
  std::optional<ReservedPort> port;
  if (inputs.host_index == 0) port.emplace(inputs.master_port);
  return run_here(options, inputs);
}

int launch(const std::vector<std::string>& arguments, const Options& options, const std::string& invoked_as) {
  core::set_log_level(options.log_level);
  require_landed(options.several_hosts);
  PlanInputs inputs;
  inputs.environment = environment_map();
  read_hostfile(options, inputs);
  inputs.machine = read_machine("/", usable_cpus());
  inputs.hosts = choose_hosts(options, inputs);
  inputs.timestamp = timestamp_now();
  const Runner runner = choose_runner(options, inputs.hosts, inputs.machine);
  if (runner == Runner::kSsh || runner == Runner::kLocalAgents) {
    const auto pid_file = write_pid_file(options);
    return Controller(set_up_controller(runner, arguments, options, inputs, invoked_as)).run();
  }
  inputs.command = resolve_command(options, program_folders(invoked_as, inputs.environment), inputs.environment);
  return runner == Runner::kByHand ? launch_by_hand(options, inputs) : launch_here(options, inputs);
}

int say_error(const std::exception& error, int exit_code) {
  std::cerr << "deepspeed: error: " << error.what() << std::endl;
  return exit_code;
}

}  // namespace

int run(int argc, const char* const* argv) {
  open_standard_descriptors();
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
