// Gathers the facts that the plan needs, plans, and hands over to the supervisor.
#include "launcher/launcher.h"

#include <unistd.h>

#include <ctime>
#include <exception>
#include <filesystem>
#include <iostream>
#include <optional>
#include <system_error>
#include <variant>

#include "core/file.h"
#include "core/log.h"
#include "core/subprocess.h"
#include "deepspeed/error.h"
#include "launcher/console_overseer.h"
#include "launcher/failure_report.h"
#include "launcher/launch_plan.h"
#include "launcher/pid_file.h"
#include "launcher/reserved_port.h"
#include "launcher/standard_descriptors.h"
#include "launcher/supervisor.h"

namespace deepspeed::launcher {
namespace {

constexpr const char* kDefaultHostfile = "/job/hostfile";
constexpr int kBadInputExit = 2;
constexpr int kFailedExit = 1;

Environment environment_map() {
  Environment result;
  for (const std::string& variable : core::current_environment()) {
    const size_t equals = variable.find('=');
    if (equals != std::string::npos) result.emplace(variable.substr(0, equals), variable.substr(equals + 1));
  }
  return result;
}

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

void log_plan(const LaunchPlan& plan) {
  for (const RankPlan& rank : plan.ranks) {
    std::string variables;
    for (const auto& [name, value] : rank.environment) variables += concat(" ", name, "=", value);
    core::log_debug("rank ", rank.rank, ":", variables, " ", quoted(rank.command));
  }
}

int run_here(const LaunchPlan& plan, const std::string& host_name) {
  ConsoleOverseer overseer(plan.ranks.front().rank);
  const auto result = Supervisor(plan, host_name, overseer).run();
  overseer.finish(result.signal);
  return result.exit_code;
}

int launch(const Options& options, const std::string& invoked_as) {
  core::set_log_level(options.log_level);
  require_one_host(options.several_hosts);
  PlanInputs inputs;
  inputs.environment = environment_map();
  read_hostfile(options, inputs);
  inputs.machine = read_machine("/", usable_cpus());
  inputs.command = resolve_command(options, program_folders(invoked_as, inputs.environment), inputs.environment);
  const ReservedPort port = reserve_port(options, inputs.machine);
  inputs.master_port = options.master_port.value_or(port.port());
  inputs.timestamp = timestamp_now();
  const LaunchPlan plan = plan_launch(options, inputs);
  log_plan(plan);

  std::optional<PidFile> pid_file;
  if (options.save_pid) {
    pid_file.emplace();
    std::cout << "launcher pid: " << ::getpid() << std::endl;
  }
  return run_here(plan, inputs.machine.host_name);
}

int say_error(const std::exception& error, int exit_code) {
  std::cerr << "deepspeed: error: " << error.what() << std::endl;
  return exit_code;
}

}  // namespace

int run(int argc, const char* const* argv) {
  open_standard_descriptors();
  try {
    auto parsed = parse_options({argv + 1, argv + argc});
    if (const auto* help = std::get_if<HelpText>(&parsed)) {
      std::cout << help->text << std::flush;
      return 0;
    }
    return launch(std::get<Options>(parsed), argv[0]);
  } catch (const ValueError& error) {
    return say_error(error, kBadInputExit);
  } catch (const NotSupported& error) {
    return say_error(error, kBadInputExit);
  } catch (const std::exception& error) {
    return say_error(error, kFailedExit);
  }
}

}  // namespace deepspeed::launcher
