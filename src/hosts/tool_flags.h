// The flags that the programs about hosts share: which hosts, and how they are reached.
#pragma once

#include <CLI/CLI.hpp>

#include <optional>
#include <string>
#include <vector>

#include "launcher/command.h"
#include "launcher/hostfile.h"
#include "launcher/ssh_command.h"

namespace deepspeed::hosts {

/// A program's flags, with our kind of help: `usage` is its first line, `footer` what stands below the flags.
class ToolFlags {
 public:
  ToolFlags(std::string name, const std::string& what, const std::string& usage, const std::string& footer);

  CLI::App& app() { return app_; }
  /// Reads the arguments; the text of -h where it was asked for. Throws ValueError that names the flag.
  std::optional<std::string> parse(const std::vector<std::string>& arguments);

 private:
  std::string name_;
  CLI::App app_;
};

/// How hosts are reached.
struct SshFlags {
  std::string port;
  std::string launcher_args;  ///< words for ssh, as of `deepspeed`
  double timeout_s = 6;       ///< for each host
};
/// `timeout_means` is the help for --timeout.
void add_ssh_flags(CLI::App& app, SshFlags& flags,
                   const std::string& timeout_means = "Seconds that a host may take to answer (default: 6)");
/// Throws ValueError where ssh is not there or a flag makes no sense.
launcher::SshOptions ssh_options(const SshFlags& flags, const launcher::Environment& environment);

/// Which hosts.
struct HostFlags {
  std::string hostfile;
  std::string include;
  std::string exclude;
};
/// `hostfile_flags` are the names of that flag, such as "-H,--hostfile".
void add_host_flags(CLI::App& app, HostFlags& flags, const std::string& hostfile_flags);
/// Throws ValueError where there is no such file (/job/hostfile where none was named), and as parse_hostfile() and
/// select_hosts() do.
std::vector<launcher::Host> read_hosts(const HostFlags& flags);

}  // namespace deepspeed::hosts
