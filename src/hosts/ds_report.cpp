// Facts as rows.
#include "hosts/ds_report.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <iostream>

#include "deepspeed/error.h"
#include "hosts/probe.h"
#include "hosts/probe_messages.h"
#include "hosts/probe_sessions.h"
#include "hosts/probe_targets.h"
#include "hosts/table.h"
#include "hosts/tool_flags.h"

namespace deepspeed::hosts {
namespace {

constexpr const char* kFooter = R"(Examples:
  ds_report
      versions, devices and kernels of this machine
  ds_report --hostfile hostfile.txt
      of all hosts in one table, in which * marks what is not as on most of them
  ds_report --json | jq .kernels

No torch is loaded: versions are what packages say about themselves. ds_check looks for faults between hosts.)";

struct Options {
  HostFlags hosts;
  SshFlags ssh;
  ReportOptions report;
  bool hides_kernels = false;
  bool hides_warnings = false;
  bool json = false;
};

std::optional<std::string> parse(const ToolCall& call, Options& options) {
  ToolFlags flags("ds_report", "Says what is installed, and what this machine can do.", "ds_report [flags]", kFooter);
  CLI::App& app = flags.app();
  const std::string group = "Output";
  app.add_flag("--hide_operator_status", options.hides_kernels, "Leave out which kernels are built")->group(group);
  app.add_flag("--hide_errors_and_warnings", options.hides_warnings, "Leave out warnings")->group(group);
  app.add_flag("--json", options.json, "JSON in place of the table")->group(group);
  add_host_flags(app, options.hosts, "-H,--hostfile");
  add_ssh_flags(app, options.ssh);
  auto help = flags.parse(call.arguments);
  options.report = {.shows_kernels = !options.hides_kernels, .shows_warnings = !options.hides_warnings};
  DS_CHECK(!options.hosts.hostfile.empty() || (options.hosts.include.empty() && options.hosts.exclude.empty()),
           ValueError, "[ds_report] --include and --exclude need --hostfile.");
  return help;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text.empty() ? "none" : text;
}

std::string bytes_of(int64_t bytes) { return bytes_in_words(static_cast<double>(bytes)); }

ReportedHost understand(const std::string& name, const std::vector<ProbeAnswer>& answers) {
  try {
    return {.host = name, .facts = decode_facts(answers.at(0).line)};
  } catch (const ValueError& error) {
    return {.host = name, .has_answered = false, .no_answer = senseless_answer(error.what())};
  }
}

std::vector<ReportedHost> ask_hosts(const ToolCall& call, const Options& options) {
  const auto hosts = read_hosts(options.hosts);
  ProbeSessions sessions(probe_targets(call, options.ssh, hosts), DS_VERSION);
  const std::vector<std::vector<std::string>> requests(hosts.size(), {encode_request(FactsRequest{})});
  const auto deadline =
      ProbeSessions::Clock::now() + std::chrono::milliseconds(static_cast<int64_t>(options.ssh.timeout_s * 1000));
  const auto answers = sessions.ask(requests, deadline);
  std::vector<ReportedHost> reported;
  for (size_t i = 0; i < hosts.size(); ++i) {
    const auto& failure = sessions.failure(i);
    reported.push_back(failure ? ReportedHost{.host = hosts[i].name, .has_answered = false, .no_answer = *failure}
                               : understand(hosts[i].name, answers[i]));
  }
  return reported;
}

/// (value, host, host ...) in the order of their first host.
std::vector<std::vector<std::string>> by_value(const std::vector<const ReportedHost*>& hosts, size_t row,
                                               const ReportOptions& options) {
  std::vector<std::vector<std::string>> groups;
  for (const ReportedHost* host : hosts) {
    const std::string value = report_rows(host->facts, options)[row].second;
    const auto known = std::find_if(groups.begin(), groups.end(), [&](const auto& one) { return one[0] == value; });
    if (known == groups.end()) {
      groups.push_back({value, host->host});
    } else {
      known->push_back(host->host);
    }
  }
  std::stable_sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });
  return groups;
}

std::string others_in_words(const std::vector<std::vector<std::string>>& groups) {
  std::string text;
  for (size_t i = 1; i < groups.size(); ++i) {
    const std::vector<std::string> names(groups[i].begin() + 1, groups[i].end());
    text += concat(text.empty() ? "* " : "; ", joined(names), ": ", groups[i][0]);
  }
  return text;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> report_rows(const HostFacts& facts, const ReportOptions& options) {
  const auto in_words = [&](const char* what) {
    const std::string version = facts.version_of(what);
    return version.empty() ? "none" : version;
  };
  std::vector<std::pair<std::string, std::string>> rows = {
      {"deepspeed-cpp", facts.version},
      {"python", in_words("python")},
      {"interpreter", facts.python.interpreter.empty() ? "none" : facts.python.interpreter},
      {"torch", in_words("torch")},
      {"deepspeed package", in_words("deepspeed")},
      {"CUDA of torch", in_words("CUDA")},
      {"NCCL package", in_words("NCCL")},
      {"NVIDIA driver", facts.driver.empty() ? "none" : facts.driver},
      {"GPUs", kinds_in_words(facts.gpus)},
      {"CPU",
       concat(facts.cpu, facts.cpu.empty() ? "" : ", ", counted(static_cast<size_t>(facts.num_sockets), "socket"), ", ",
              counted(static_cast<size_t>(facts.num_cores), "core"))},
      {"memory", bytes_of(facts.memory_bytes)},
      {"/dev/shm", bytes_of(facts.shared_memory_bytes)},
      {"kernel", facts.kernel},
      {"io_uring", facts.io_uring_fault.empty() ? "yes" : concat("no: ", facts.io_uring_fault)}};
  if (options.shows_kernels) {
    rows.insert(rows.end(), {{"CPU kernels for", joined(facts.kernels.simd)},
                             {"CPU kernels used", facts.kernels.simd_used},
                             {"CUDA optimizers", facts.kernels.cuda_optimizers ? "built, not used yet" : "not built"}});
  }
  return rows;
}

std::vector<std::string> report_warnings(const HostFacts& facts) {
  std::vector<std::string> warnings;
  if (!facts.python.fault.empty()) warnings.push_back("the packages of Python are not known: " + facts.python.fault);
  if (facts.python.fault.empty() && facts.version_of("torch").empty()) {
    warnings.push_back(concat("there is no torch in ", facts.python.interpreter, ": pip install torch"));
  }
  if (facts.shared_memory_bytes < kLeastSharedMemoryBytes) {
    warnings.push_back(concat("/dev/shm has ", bytes_of(facts.shared_memory_bytes),
                              ", which is little for NCCL and data loaders: docker run --shm-size=8g"));
  }
  if (!facts.gpus.empty() && !facts.kernels.cuda_optimizers) {
    warnings.push_back("there are GPUs, but this build has no CUDA kernels: build with nvcc on PATH");
  }
  if (!facts.io_uring_fault.empty()) {
    warnings.push_back(concat("io_uring cannot be used (", facts.io_uring_fault,
                              "): look at sysctl kernel.io_uring_disabled, or the container's seccomp profile"));
  }
  return warnings;
}

std::string report_text(const HostFacts& facts, const ReportOptions& options) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, value] : report_rows(facts, options)) rows.push_back({name, value});
  std::string text = aligned(rows);
  if (!options.shows_warnings) return text;
  for (const std::string& warning : report_warnings(facts)) text += "warning: " + warning + "\n";
  return text;
}

std::string hosts_report_text(const std::vector<ReportedHost>& hosts, const ReportOptions& options) {
  std::vector<const ReportedHost*> answered;
  std::string missing;
  std::string warnings;
  for (const ReportedHost& host : hosts) {
    if (!host.has_answered) {
      missing += concat("  ", host.host, ": ", host.no_answer.what, ". ", host.no_answer.remedy, "\n");
      continue;
    }
    answered.push_back(&host);
    for (const std::string& warning : report_warnings(host.facts)) {
      warnings += concat("warning: ", host.host, ": ", warning, "\n");
    }
  }
  std::string text;
  if (!answered.empty()) {
    std::vector<std::vector<std::string>> rows = {{"", concat("of ", counted(answered.size(), "host")), "others"}};
    const auto names = report_rows(answered.front()->facts, options);
    for (size_t row = 0; row < names.size(); ++row) {
      const auto groups = by_value(answered, row, options);
      rows.push_back({names[row].first, groups[0][0], others_in_words(groups)});
    }
    text = aligned(rows);
  }
  if (options.shows_warnings) text += warnings;
  if (!missing.empty()) {
    text += concat(text.empty() ? "" : "\n", hosts.size() - answered.size(), " of ", counted(hosts.size(), "host"),
                   " did not answer:\n", missing);
  }
  return text;
}

std::string hosts_report_json(const std::vector<ReportedHost>& hosts) {
  nlohmann::json list = nlohmann::json::array();
  for (const ReportedHost& host : hosts) {
    nlohmann::json value = {{"host", host.host}, {"answered", host.has_answered}};
    if (host.has_answered) {
      value["facts"] = nlohmann::json::parse(encode_facts(host.facts));
    } else {
      value["reason"] = name_of(host.no_answer.kind);
      value["what"] = host.no_answer.what;
      value["remedy"] = host.no_answer.remedy;
    }
    list.push_back(value);
  }
  return nlohmann::json{{"hosts", list}}.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

int run_ds_report(const ToolCall& call) {
  Options options;
  if (const auto help = parse(call, options)) {
    std::cout << *help << std::flush;
    return 0;
  }
  if (options.hosts.hostfile.empty()) {
    const HostFacts facts = facts_of_this_host(call);
    std::cout << (options.json ? nlohmann::json::parse(encode_facts(facts)).dump(2) + "\n"
                               : report_text(facts, options.report))
              << std::flush;
    return 0;
  }
  const auto hosts = ask_hosts(call, options);
  std::cout << (options.json ? hosts_report_json(hosts) : hosts_report_text(hosts, options.report)) << std::flush;
  const bool all = std::all_of(hosts.begin(), hosts.end(), [](const ReportedHost& host) { return host.has_answered; });
  return all ? 0 : kFaultsExit;
}

}  // namespace deepspeed::hosts
