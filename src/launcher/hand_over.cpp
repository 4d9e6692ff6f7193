// Finding the program, its words and variables, and exec.
#include "launcher/hand_over.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "core/log.h"
#include "deepspeed/error.h"
#include "launcher/carried.h"
#include "launcher/exported_environment.h"
#include "launcher/mpirun_command.h"
#include "launcher/open_files.h"
#include "launcher/pdsh_command.h"
#include "launcher/ssh_command.h"

namespace deepspeed::launcher {
namespace {

std::string find_one_of(const std::vector<std::string>& names, const std::string& launcher,
                        const Environment& environment) {
  for (const std::string& name : names) {
    if (const auto found = find_on_path(name, environment)) return found->string();
  }
  throw ValueError(concat("[launcher] --launcher ", launcher, ": no ", names.front(),
                          " on PATH. Install it, or leave the flag out: ssh needs no other program."));
}

// Every MPI has a program called mpirun; Open MPI's comes with an ompi_info.
std::string find_open_mpi(const Environment& environment) {
  const bool is_plain_one = find_on_path("ompi_info", environment).has_value();
  const std::vector<std::string> names = {"mpirun.openmpi", "mpirun"};
  return find_one_of(is_plain_one ? names : std::vector<std::string>{names.front()}, "openmpi", environment);
}

std::string find_hydra(const SeveralHostsOptions& several, const Environment& environment) {
  return find_one_of({"mpiexec.hydra", "mpirun.mpich"}, several.launcher, environment);
}

void check_flags(const SeveralHostsOptions& several) {
  DS_CHECK(several.max_restarts == 0, ValueError, "[launcher] --max_restarts: --launcher ", several.launcher,
           " leaves the launch to another program. Leave that flag out to have it watched and started again.");
}

// The hosts of a Slurm job: pdsh's are outside of it and know none, and mpirun's ranks are counted here.
void check_job(Runner runner, const Options& options, const PlanInputs& inputs) {
  if (!inputs.job || inputs.hostfile_text) return;
  const bool is_known = runner == Runner::kPdsh ? options.several_hosts.num_nodes > 1 : options.num_gpus.has_value();
  DS_CHECK(is_known, ValueError, "[launcher] --launcher ", options.several_hosts.launcher, " in Slurm job ",
           inputs.job->id, ", without a hostfile: it cannot tell ",
           runner == Runner::kPdsh ? "its commands which hosts there are. Add --hostfile FILE or --num_nodes N"
                                   : "how many GPUs each host has. Add --hostfile FILE or --num_gpus N",
           ", or leave --launcher out: the job's hosts are then asked.");
}

// mpirun counts a host's ranks, and each takes the GPU of its number.
void check_hosts_of_mpirun(const std::vector<Host>& hosts, const std::string& launcher) {
  for (const Host& host : hosts) {
    const bool begins_at_zero = host.slots.back() + 1 == static_cast<int>(host.slots.size());
    std::string slots;
    for (const int slot : host.slots) slots += concat(slots.empty() ? "" : ",", slot);
    DS_CHECK(begins_at_zero, ValueError, "[launcher] --launcher ", launcher, ": host ", host.name, " has slots ", slots,
             ", but mpirun can only be told how many. Leave --launcher out, or choose slots from 0 on.");
    DS_CHECK(address_of(host.name) == host.name, ValueError, "[launcher] --launcher ", launcher, ": host ", host.name,
             ": mpirun takes no user. Write the user into ~/.ssh/config and the host alone into the hostfile, or leave "
             "--launcher out.");
  }
}

[[noreturn]] void execute(const std::vector<std::string>& command, const Environment& variables) {
  std::signal(SIGPIPE, SIG_DFL);
  restore_open_files();
  for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  ::execv(words[0], words.data());
  throw IoError("[launcher] starting " + command[0], command[0], errno);
}

std::vector<std::string> names_of(const Environment& variables) {
  std::vector<std::string> names;
  for (const auto& [name, value] : variables) names.push_back(name);
  return names;
}

// What every such launch needs.
struct Errand {
  std::string folder;
  Environment variables;
  std::string program_path;
  std::string master_addr;
  int master_port = 0;
};

[[noreturn]] void run_pdsh(const Errand& errand, const std::vector<std::string>& arguments,
                           const SeveralHostsOptions& several, const PlanInputs& inputs) {
  PdshLaunch launch{.program = find_one_of({"pdsh"}, several.launcher, inputs.environment),
                    .arguments = split_words(several.launcher_args),
                    .folder = errand.folder,
                    .variables = errand.variables,
                    .program_path = errand.program_path,
                    .deepspeed_arguments = arguments,
                    .master_addr = errand.master_addr,
                    .master_port = errand.master_port};
  for (const Host& host : inputs.hosts) launch.hosts.push_back(host.name);
  execute(pdsh_command(launch), pdsh_variables(inputs.environment, several.ssh_port));
}

[[noreturn]] void run_mpirun(const Errand& errand, Runner runner, const Options& options, const PlanInputs& inputs) {
  const SeveralHostsOptions& several = options.several_hosts;
  // Slots that CUDA_VISIBLE_DEVICES chose are counted from 0 by the ranks, too.
  const bool is_chosen = inputs.hostfile_text || !options.include.empty() || !options.exclude.empty();
  if (is_chosen) check_hosts_of_mpirun(inputs.hosts, several.launcher);
  const bool is_open_mpi = runner == Runner::kOpenMpi;
  Environment variables = errand.variables;
  variables["MASTER_ADDR"] = errand.master_addr;
  variables["MASTER_PORT"] = std::to_string(errand.master_port);
  const MpirunLaunch launch{
      .program = is_open_mpi ? find_open_mpi(inputs.environment) : find_hydra(several, inputs.environment),
      .hosts = inputs.hosts,
      .arguments = split_words(several.launcher_args),
      .variables = names_of(variables),
      .program_path = errand.program_path,
      .deepspeed_arguments = task_arguments(options)};
  if (several.launcher == "impi") variables["I_MPI_PIN"] = "0";  // --bind_cores_to_rank binds, where it is wanted
  execute(is_open_mpi ? open_mpi_command(launch) : hydra_command(launch), variables);
}

}  // namespace

void hand_over(Runner runner, const std::vector<std::string>& arguments, const Options& options,
               const PlanInputs& inputs, const std::string& invoked_as) {
  check_flags(options.several_hosts);
  check_job(runner, options, inputs);
  const std::string folder = std::filesystem::current_path().string();
  const Errand errand{
      .folder = folder,
      .variables = carried_variables(inputs.environment, folder),
      .program_path = path_of_program(invoked_as, inputs.environment),
      .master_addr = options.master_addr.empty() ? address_of(inputs.hosts.front().name) : options.master_addr,
      .master_port = options.master_port.value_or(kDefaultPort)};
  core::log_info("variables for all hosts: ", describe_variables(errand.variables));
  if (runner == Runner::kPdsh) run_pdsh(errand, arguments, options.several_hosts, inputs);
  run_mpirun(errand, runner, options, inputs);
}

}  // namespace deepspeed::launcher
