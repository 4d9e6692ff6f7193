// Flags, then the command; lines as they come.
#include "hosts/ds_ssh.h"

#include <cerrno>
#include <iostream>

#include "deepspeed/error.h"
#include "hosts/fan_out.h"
#include "hosts/no_answer.h"
#include "hosts/table.h"
#include "hosts/tool_flags.h"

namespace deepspeed::hosts {
namespace {

constexpr const char* kFooter = R"(Examples:
  ds_ssh -f hostfile.txt nvidia-smi -L
      on all hosts at once; each line begins with its host
  ds_ssh -f hostfile.txt 'cd /data && du -sh * | sort -h'
      a text for the shell there

What the shell there sees: of several words each in quotes, so that the program gets them as they are (`ds_ssh echo '$HOME'`
prints $HOME); a single word as it stands, for pipes, variables and wildcards of that host. Flags of ds_ssh come before
the command. The command has no input. Where ds_ssh is ended, a command that writes nothing goes on there. A host that dies
is noticed after 15 seconds.
Exit code: of the first host, in the order of the hostfile, whose command fails; 255 where a host is not reached.)";

constexpr int kSshFailed = 255;

struct Options {
  HostFlags hosts;
  SshFlags ssh;
  int at_once = 64;
  std::vector<std::string> words;
};

std::optional<std::string> parse(const ToolCall& call, Options& options) {
  ToolFlags flags("ds_ssh", "Runs one command on all hosts of a hostfile at once.", "ds_ssh [flags] command...",
                  kFooter);
  CLI::App& app = flags.app();
  add_host_flags(app, options.hosts, "-f,-H,--hostfile");
  add_ssh_flags(app, options.ssh, "Seconds to reach a host; the command then has all time (default: 6)");
  app.add_option("--at_once", options.at_once, "Hosts at once (default: 64)")
      ->group("How hosts are reached")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  app.prefix_command();  // the first word that is no flag begins the command
  auto help = flags.parse(call.arguments);
  options.words = app.remaining();
  if (!options.words.empty() && options.words.front() == "--") options.words.erase(options.words.begin());
  return help;
}

void check_command(const ToolCall& call, const std::vector<std::string>& words) {
  DS_CHECK(!words.empty(), ValueError, "[ds_ssh] no command was given. Usage: ds_ssh [flags] command...");
  const auto begin = call.arguments.end() - static_cast<std::ptrdiff_t>(words.size());
  const bool follows_dashes = begin != call.arguments.begin() && *(begin - 1) == "--";
  DS_CHECK(follows_dashes || !words.front().starts_with('-'), ValueError, "[ds_ssh] unknown flag ", words.front(),
           ". `ds_ssh -h` lists the flags; a command that begins with - stands after --.");
}

std::string why(const std::string& host, const RemoteResult& result) {
  if (result.exit_code != kSshFailed) return concat("exit code ", result.exit_code);
  const NoAnswer no_answer =
      explain_no_answer({.host = host, .exit_code = result.exit_code, .error_lines = result.error_lines});
  return concat(no_answer.what, ". ", no_answer.remedy);
}

// `ds_ssh ... | head`: nobody reads what commands say, and they would go on saying it.
[[noreturn]] void throw_cannot_show(const char* output, int error_number) {
  throw IoError(concat("[ds_ssh] writing to ", output), output, error_number);
}

int report(const std::vector<launcher::Host>& hosts, const std::vector<RemoteResult>& results) {
  int exit_code = 0;
  size_t num_failed = 0;
  std::string text;
  for (size_t i = 0; i < hosts.size(); ++i) {
    if (results[i].exit_code == 0) continue;
    if (num_failed++ == 0) exit_code = results[i].exit_code;
    text += concat("  ", hosts[i].name, ": ", why(hosts[i].name, results[i]), "\n");
  }
  if (num_failed > 0) {
    std::cerr << "ds_ssh: failed on " << num_failed << " of " << counted(hosts.size(), "host") << ":\n" << text;
  }
  return exit_code;
}

}  // namespace

std::string remote_text(const std::vector<std::string>& words) {
  if (words.size() == 1) return words.front();
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + launcher::shell_word(word);
  return text;
}

int run_ds_ssh(const ToolCall& call) {
  Options options;
  if (const auto help = parse(call, options)) {
    std::cout << *help << std::flush;
    return 0;
  }
  check_command(call, options.words);
  const auto hosts = read_hosts(options.hosts);
  const launcher::SshOptions ssh = ssh_options(options.ssh, call.environment);
  std::vector<RemoteJob> jobs;
  for (const launcher::Host& host : hosts)
    jobs.push_back({launcher::ssh_to(ssh, host.name, remote_text(options.words))});
  const auto show = [&](size_t job, bool is_error, const launcher::Line& line) {
    std::ostream& output = is_error ? std::cerr : std::cout;
    output << hosts[job].name << ": " << line.text << std::endl;
    if (!output) throw_cannot_show(is_error ? "standard error" : "standard output", errno);
  };
  return report(hosts, run_jobs(jobs, {.at_once = options.at_once, .keeps_lines = false}, show));
}

}  // namespace deepspeed::hosts
