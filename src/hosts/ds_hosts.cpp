// Expands, asks all at once, writes.
#include "hosts/ds_hosts.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <iostream>

#include "core/file.h"
#include "deepspeed/error.h"
#include "hosts/fan_out.h"
#include "hosts/name_range.h"
#include "hosts/table.h"
#include "hosts/tool_flags.h"

namespace deepspeed::hosts {
namespace {

constexpr const char* kFooter = R"(Examples:
  ds_hosts node1 node2 '10.0.0.[3-9]' -o hostfile.txt
      asks nine hosts at once and writes those that answer, one line each, with a slot a GPU
  ds_hosts 'rack[1-2]n[01-16]' --launcher_args '-l me' --json
      32 hosts as another user, for a program to read

Hosts need an sshd that accepts your key and nothing else: no deepspeed, no Python. GPUs are those of nvidia-smi -L, or
/dev/nvidia0 and so on; a host without GPUs gets a slot a CPU socket. Quote brackets, which some shells take for themselves.
Exit code 1 if a host did not answer; the others are written all the same.)";

struct Options {
  std::vector<std::string> words;
  std::string output;
  bool json = false;
  SshFlags ssh;
};

std::optional<std::string> parse(const ToolCall& call, Options& options) {
  ToolFlags flags("ds_hosts", "Asks hosts for their GPUs over ssh and writes a hostfile.", "ds_hosts [flags] host...",
                  kFooter);
  CLI::App& app = flags.app();
  app.add_option("host", options.words, "Names or addresses; node[1-8] stands for eight")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option("-o,--output", options.output, "Hostfile to write (default: none, only the table)")
      ->group("Output")
      ->type_name("FILE");
  app.add_flag("--json", options.json, "JSON in place of the table")->group("Output");
  add_ssh_flags(app, options.ssh);
  return flags.parse(call.arguments);
}

HostDevices understand(const std::string& name, const RemoteResult& result, double patience_s) {
  HostDevices host{.name = name};
  try {
    host.devices = parse_devices(result.lines);
    host.has_answered = true;
  } catch (const ValueError& error) {
    host.no_answer = explain_no_answer({.host = name,
                                        .exit_code = result.exit_code,
                                        .timed_out = result.timed_out,
                                        .patience_s = patience_s,
                                        .error_lines = result.error_lines});
    if (result.exit_code == 0) host.no_answer.what = concat("ssh works, but: ", error.what());
  }
  return host;
}

std::vector<HostDevices> ask(const std::vector<std::string>& names, const SshFlags& flags,
                             const launcher::Environment& environment) {
  const launcher::SshOptions ssh = ssh_options(flags, environment);
  std::vector<RemoteJob> jobs;
  for (const std::string& name : names) {
    jobs.push_back({launcher::ssh_to(ssh, name, kDeviceShell), std::string(kDeviceScript)});
  }
  const auto results =
      run_jobs(jobs, {.patience = std::chrono::milliseconds(static_cast<int64_t>(flags.timeout_s * 1000))});
  std::vector<HostDevices> hosts;
  for (size_t i = 0; i < names.size(); ++i) hosts.push_back(understand(names[i], results[i], flags.timeout_s));
  return hosts;
}

size_t num_answered(const std::vector<HostDevices>& hosts) {
  return static_cast<size_t>(
      std::count_if(hosts.begin(), hosts.end(), [](const HostDevices& host) { return host.has_answered; }));
}

nlohmann::json json_of(const HostDevices& host) {
  if (!host.has_answered) {
    return {{"name", host.name},
            {"answered", false},
            {"reason", name_of(host.no_answer.kind)},
            {"what", host.no_answer.what},
            {"remedy", host.no_answer.remedy}};
  }
  const Devices& devices = host.devices;
  return {{"name", host.name},
          {"answered", true},
          {"slots", devices.num_slots()},
          {"gpus", devices.gpus},
          {"sockets", devices.num_sockets},
          {"cpus", devices.num_cpus},
          {"host_name", devices.host_name},
          {"nvidia_smi_fault", devices.fault}};
}

}  // namespace

std::string hostfile_text(const std::vector<HostDevices>& hosts) {
  std::string text;
  for (const HostDevices& host : hosts) {
    if (!host.has_answered) continue;
    text += concat(host.name, " slots=", host.devices.num_slots());
    if (!host.devices.gpus.empty()) text += " # " + on_one_line(kinds_in_words(host.devices.gpus));
    text += "\n";
  }
  return text;
}

std::string devices_text(const std::vector<HostDevices>& hosts) {
  std::vector<std::vector<std::string>> rows = {{"host", "slots", "GPUs", "CPU sockets", "CPUs"}};
  std::string faults;
  for (const HostDevices& host : hosts) {
    if (!host.has_answered) {
      rows.push_back({host.name, "-", "no answer"});
      faults += concat("  ", host.name, ": ", host.no_answer.what, ". ", host.no_answer.remedy, "\n");
      continue;
    }
    const Devices& devices = host.devices;
    rows.push_back({host.name, concat(devices.num_slots()), on_one_line(kinds_in_words(devices.gpus)),
                    concat(devices.num_sockets), concat(devices.num_cpus)});
    if (!devices.fault.empty()) {
      faults += concat("  ", host.name, ": nvidia-smi there fails: ", on_one_line(devices.fault), "\n");
    }
  }
  std::string text = aligned(rows);
  const size_t missing = hosts.size() - num_answered(hosts);
  if (missing > 0) text += concat("\n", missing, " of ", counted(hosts.size(), "host"), " did not answer.\n");
  return text + (faults.empty() || missing > 0 ? "" : "\n") + faults;
}

std::string devices_json(const std::vector<HostDevices>& hosts) {
  nlohmann::json list = nlohmann::json::array();
  for (const HostDevices& host : hosts) list.push_back(json_of(host));
  return nlohmann::json{{"hosts", list}}.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

int run_ds_hosts(const ToolCall& call) {
  Options options;
  if (const auto help = parse(call, options)) {
    std::cout << *help << std::flush;
    return 0;
  }
  const auto names = expand_names(options.words);
  const auto hosts = ask(names, options.ssh, call.environment);
  std::cout << (options.json ? devices_json(hosts) : devices_text(hosts));
  const size_t answered = num_answered(hosts);
  if (!options.output.empty() && answered > 0) {
    core::write_file_atomically(options.output, hostfile_text(hosts));
    (options.json ? std::cerr : std::cout) << "\n" << options.output << ": " << counted(answered, "host") << "\n";
  } else if (!options.output.empty()) {
    std::cerr << "ds_hosts: no host answered, so " << options.output << " was not written.\n";
  }
  std::cout << std::flush;
  return answered == hosts.size() ? 0 : kFaultsExit;
}

}  // namespace deepspeed::hosts
