// Parsing, and what the flags mean.
#include "hosts/tool_flags.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>

#include "core/file.h"
#include "deepspeed/error.h"

namespace deepspeed::hosts {
namespace {

constexpr const char* kDefaultHostfile = "/job/hostfile";
constexpr int kLargestPort = 65535;
constexpr double kLongestTimeout_s = 3600;

class HelpFormatter final : public CLI::Formatter {
 public:
  explicit HelpFormatter(std::string usage) : usage_(std::move(usage)) { column_width(36); }
  std::string make_usage(const CLI::App*, std::string) const override { return "Usage: " + usage_ + "\n"; }

 private:
  std::string usage_;
};

}  // namespace

ToolFlags::ToolFlags(std::string name, const std::string& what, const std::string& usage, const std::string& footer)
    : name_(std::move(name)), app_(what) {
  app_.formatter(std::make_shared<HelpFormatter>(usage));
  app_.set_help_flag();
  app_.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app_.footer(footer);
}

std::optional<std::string> ToolFlags::parse(const std::vector<std::string>& arguments) {
  app_.set_help_flag("-h,--help", "Show this help")->group("Output");
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // CLI11 takes them from the back
    app_.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    return app_.help();
  } catch (const CLI::ParseError& error) {
    throw ValueError(concat("[", name_, "] ", error.what(), ". `", name_, " -h` lists the flags."));
  }
  return std::nullopt;
}

void add_ssh_flags(CLI::App& app, SshFlags& flags, const std::string& timeout_means) {
  const std::string group = "How hosts are reached";
  app.add_option("--ssh_port", flags.port, "Port of sshd (default: what ssh's configuration says)")
      ->group(group)
      ->type_name("PORT");
  app.add_option("--launcher_args", flags.launcher_args, "Flags for ssh, such as '-i ~/.ssh/cluster -l me'")
      ->group(group)
      ->type_name("TEXT");
  app.add_option("--timeout", flags.timeout_s, timeout_means)->group(group)->type_name("S");
}

launcher::SshOptions ssh_options(const SshFlags& flags, const launcher::Environment& environment) {
  int port = 0;
  const char* end = flags.port.data() + flags.port.size();
  const auto [stop, error] = std::from_chars(flags.port.data(), end, port);
  DS_CHECK(flags.port.empty() || (error == std::errc() && stop == end && port >= 1 && port <= kLargestPort), ValueError,
           "[hosts] --ssh_port: got ", flags.port, ", expected 1 to ", kLargestPort, ".");
  DS_CHECK(flags.timeout_s > 0 && flags.timeout_s <= kLongestTimeout_s, ValueError, "[hosts] --timeout: got ",
           flags.timeout_s, " s, expected more than 0 and at most ", kLongestTimeout_s, ".");
  const auto program = launcher::find_on_path("ssh", environment);
  DS_CHECK(program, ValueError, "[hosts] ssh is not on PATH. Install openssh-client.");
  launcher::SshOptions options{
      .program = program->string(), .port = flags.port, .arguments = launcher::split_words(flags.launcher_args)};
  // ssh takes the first of two, so the user's own stands. It gives up before we do, and so says why.
  const int connect_s = std::max(1, static_cast<int>(flags.timeout_s * 0.75));
  // A host that dies later says nothing: ssh itself would wait for hours.
  options.arguments.insert(options.arguments.end(), {"-o", concat("ConnectTimeout=", connect_s), "-o",
                                                     "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"});
  return options;
}

void add_host_flags(CLI::App& app, HostFlags& flags, const std::string& hostfile_flags) {
  const std::string group = "Which hosts";
  app.add_option(hostfile_flags, flags.hostfile, "File with lines `HOST slots=N` (default: /job/hostfile)")
      ->group(group)
      ->type_name("FILE");
  app.add_option("-i,--include", flags.include, "Only these: HOST[@HOST...]")->group(group)->type_name("HOSTS");
  app.add_option("-e,--exclude", flags.exclude, "All but these: HOST[@HOST...]")->group(group)->type_name("HOSTS");
}

std::vector<launcher::Host> read_hosts(const HostFlags& flags) {
  DS_CHECK(flags.include.empty() || flags.exclude.empty(), ValueError,
           "[hosts] --include and --exclude exclude each other: got both.");
  const std::string path = flags.hostfile.empty() ? kDefaultHostfile : flags.hostfile;
  std::error_code error;
  DS_CHECK(std::filesystem::exists(path, error), ValueError, "[hosts] --hostfile ", path,
           ": no such file. `ds_hosts NAMES -o FILE` writes one.");
  const auto hosts = launcher::parse_hostfile(core::read_file(path), path);
  const bool excludes = !flags.exclude.empty();
  return launcher::select_hosts(
      hosts, {excludes ? flags.exclude : flags.include, excludes ? "--exclude" : "--include", excludes});
}

}  // namespace deepspeed::hosts
