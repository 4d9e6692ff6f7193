// The words of pdsh, the last of which is a line for a shell.
#include "launcher/pdsh_command.h"

#include "deepspeed/error.h"
#include "launcher/environment_values.h"
#include "launcher/ssh_command.h"

namespace deepspeed::launcher {
namespace {

std::string with_doubled_percents(const std::string& text) {
  std::string doubled;
  for (const char c : text) doubled += c == '%' ? std::string("%%") : std::string(1, c);
  return doubled;
}

std::string word(const std::string& text) { return with_doubled_percents(shell_word(text)); }

}  // namespace

std::vector<std::string> pdsh_command(const PdshLaunch& launch) {
  std::string line = concat("cd ", word(launch.folder), " && ");
  for (const auto& [name, value] : launch.variables) line += concat("export ", name, "=", word(value), " && ");
  line +=
      concat("exec ", word(launch.program_path), " --no_ssh --node_rank=%n --master_addr=", word(launch.master_addr),
             " --master_port=", launch.master_port);
  for (const std::string& argument : launch.deepspeed_arguments) line += " " + word(argument);
  std::string hosts;
  for (const std::string& host : launch.hosts) hosts += (hosts.empty() ? "" : ",") + host;
  // -S: the largest exit code of all hosts; -b: one Ctrl-C ends it; -f: all hosts at once.
  std::vector<std::string> command = {launch.program, "-S", "-b", "-f", "1024", "-w", hosts};
  command.insert(command.end(), launch.arguments.begin(), launch.arguments.end());
  command.push_back(line);
  return command;
}

Environment pdsh_variables(const Environment& environment, const std::string& ssh_port) {
  std::string words = variable(environment, "PDSH_SSH_ARGS_APPEND");
  if (!words.empty()) words += " ";
  words += "-oBatchMode=yes";
  if (!ssh_port.empty()) words += " -p" + ssh_port;
  return {{"PDSH_RCMD_TYPE", "ssh"}, {"PDSH_SSH_ARGS_APPEND", words}};
}

}  // namespace deepspeed::launcher
