// The words of the two kinds of mpirun.
#include "launcher/mpirun_command.h"

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

int num_ranks(const std::vector<Host>& hosts) {
  size_t count = 0;
  for (const Host& host : hosts) count += host.slots.size();
  return static_cast<int>(count);
}

// "a:2,b:1"
std::string host_list(const std::vector<Host>& hosts) {
  std::string list;
  for (const Host& host : hosts) list += concat(list.empty() ? "" : ",", host.name, ":", host.slots.size());
  return list;
}

void append(std::vector<std::string>& command, const std::vector<std::string>& words) {
  command.insert(command.end(), words.begin(), words.end());
}

void append_rank(std::vector<std::string>& command, const MpirunLaunch& launch) {
  append(command, launch.arguments);
  command.push_back(launch.program_path);
  append(command, launch.deepspeed_arguments);
}

}  // namespace

std::vector<std::string> open_mpi_command(const MpirunLaunch& launch) {
  std::vector<std::string> command = {
      launch.program, "-n",  concat(num_ranks(launch.hosts)), "--host", host_list(launch.hosts), "--map-by", "slot",
      "--bind-to",    "none"};
  for (const std::string& name : launch.variables) append(command, {"-x", name});
  append_rank(command, launch);
  return command;
}

std::vector<std::string> hydra_command(const MpirunLaunch& launch) {
  std::vector<std::string> command = {launch.program, "-n", concat(num_ranks(launch.hosts)), "-hosts",
                                      host_list(launch.hosts)};
  std::string names;
  for (const std::string& name : launch.variables) names += (names.empty() ? "" : ",") + name;
  if (!names.empty()) append(command, {"-genvlist", names});
  append_rank(command, launch);
  return command;
}

std::vector<std::string> task_arguments(const Options& options) {
  std::vector<std::string> words;
  const auto add_if = [&](bool is_given, const char* flag) {
    if (is_given) words.emplace_back(flag);
  };
  add_if(options.module, "--module");
  add_if(options.no_python, "--no_python");
  add_if(options.no_local_rank, "--no_local_rank");
  add_if(options.bind_cores_to_rank, "--bind_cores_to_rank");
  if (!options.bind_core_list.empty()) append(words, {"--bind_core_list", options.bind_core_list});
  if (!options.rank_log_folder.empty()) append(words, {"--enable_each_rank_log", options.rank_log_folder});
  add_if(options.save_pid, "--save_pid");
  const std::string& venv_script = options.several_hosts.venv_script;
  if (!venv_script.empty()) append(words, {"--venv_script", venv_script});
  append(words, {"--log_level", core::name_of(options.log_level), "--", options.script});
  append(words, options.script_arguments);
  return words;
}

}  // namespace deepspeed::launcher
