// Tables and JSON.
#include "hosts/check_report.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "deepspeed/error.h"
#include "hosts/table.h"

namespace deepspeed::hosts {
namespace {

using nlohmann::json;
using Rows = std::vector<std::vector<std::string>>;

std::string version_of(const HostFacts& facts, const char* what) {
  const std::string version = facts.version_of(what);
  return version.empty() ? "-" : version;
}

std::string meeting_in_words(const CheckReport& report, size_t i) {
  const CheckedHost& host = report.check.hosts[i];
  if (meeting_host(report.check) == i) return report.check.port_fault.empty() ? "listens" : "port taken";
  if (!host.meeting) return "-";
  if (!host.meeting->fault.empty()) return "fails";
  return concat(host.meeting->interface.empty() ? "lo" : host.meeting->interface, ", ",
                rounded(host.meeting->round_trip_s * 1e3), " ms");
}

std::string of(int64_t free, int64_t all) {
  return bytes_in_words(static_cast<double>(free)) + " of " + bytes_in_words(static_cast<double>(all));
}

std::string hosts_table(const CheckReport& report) {
  Rows rows = {{"host", "slots", "GPUs", "python", "torch", "deepspeed", "CUDA", "NCCL", "clock, ms", "meets over",
                "memory free", "/dev/shm free"}};
  for (size_t i = 0; i < report.check.hosts.size(); ++i) {
    const CheckedHost& host = report.check.hosts[i];
    if (host.no_answer) {
      rows.push_back({host.host, concat(host.num_slots), "no answer"});
      continue;
    }
    const HostFacts& facts = host.facts;
    rows.push_back({host.host, concat(host.num_slots), concat(facts.gpus.size()), version_of(facts, "python"),
                    version_of(facts, "torch"), version_of(facts, "deepspeed"), version_of(facts, "CUDA"),
                    version_of(facts, "NCCL"), rounded(host.clock_ahead_s * 1e3), meeting_in_words(report, i),
                    of(facts.memory_free_bytes, facts.memory_bytes),
                    of(facts.shared_memory_free_bytes, facts.shared_memory_bytes)});
  }
  return aligned(rows);
}

std::string speeds_table(const CheckReport& report) {
  Rows rows = {{"from", "to", "Gb/s", "latency, ms"}};
  for (const PairSpeed& speed : report.speeds) {
    rows.push_back({report.check.hosts[speed.from].host, report.check.hosts[speed.to].host,
                    rounded(speed.bytes_per_s * 8e-9), rounded(speed.latency_s * 1e3)});
  }
  return aligned(rows);
}

std::string advice_text(const NetworkAdvice& advice) {
  Rows rows = {{"ZeRO", "out of a host", "on the network, s", "step, s", "efficiency, %"}};
  for (const StageCost& cost : advice.stages) {
    rows.push_back({concat(cost.stage), bytes_in_words(cost.sent_host_bytes), rounded(cost.network_s),
                    rounded(cost.step_s), rounded(100 * cost.efficiency)});
  }
  return aligned(rows) + "\n" + advice.sentence +
         "\nPredicted from the slowest pair, over one TCP stream; NCCL over InfiniBand or several streams is faster. "
         "`ds_plan -h` for more.\n";
}

std::string findings_text(const CheckReport& report) {
  const auto is_error = [](const Finding& finding) { return finding.severity == Severity::kError; };
  const auto errors = static_cast<size_t>(std::count_if(report.findings.begin(), report.findings.end(), is_error));
  std::string text =
      report.findings.empty()
          ? concat("No faults on ", counted(report.check.hosts.size(), "host"), ".\n")
          : concat(counted(errors, "error"), ", ", counted(report.findings.size() - errors, "warning"), ":\n");
  for (const Finding& finding : report.findings) {
    text += concat("  ", is_error(finding) ? "error   " : "warning ", finding.host, ": ", finding.what, ".",
                   finding.remedy.empty() ? "" : " ", finding.remedy, "\n");
  }
  return text;
}

json host_to_json(const CheckReport& report, size_t i) {
  const CheckedHost& host = report.check.hosts[i];
  json value = {{"host", host.host}, {"slots", host.num_slots}, {"answered", !host.no_answer}};
  if (host.no_answer) {
    value["reason"] = name_of(host.no_answer->kind);
    return value;
  }
  value["facts"] = json::parse(encode_facts(host.facts));
  value["clock_ahead_s"] = host.clock_ahead_s;
  value["clock_uncertain_s"] = host.clock_uncertain_s;
  if (host.meeting) value["meeting"] = json::parse(encode_meeting(*host.meeting));
  return value;
}

json advice_to_json(const NetworkAdvice& advice) {
  json stages = json::array();
  for (const StageCost& cost : advice.stages) {
    stages.push_back({{"stage", cost.stage},
                      {"sent_host_bytes", cost.sent_host_bytes},
                      {"network_s", cost.network_s},
                      {"step_s", cost.step_s},
                      {"efficiency", cost.efficiency}});
  }
  return {{"sentence", advice.sentence}, {"stages", stages}};
}

}  // namespace

std::string check_text(const CheckReport& report) {
  std::string text = hosts_table(report);
  if (!report.check.master_addr.empty()) {
    text += concat("\nHosts meet at ", report.check.master_addr, ":", report.check.master_port, ".\n");
  }
  if (report.has_speeds) text += "\n" + speeds_table(report);
  if (report.advice) text += "\n" + advice_text(*report.advice);
  return text + "\n" + findings_text(report);
}

std::string check_json(const CheckReport& report) {
  json hosts = json::array();
  for (size_t i = 0; i < report.check.hosts.size(); ++i) hosts.push_back(host_to_json(report, i));
  json findings = json::array();
  for (const Finding& finding : report.findings) {
    findings.push_back({{"severity", finding.severity == Severity::kError ? "error" : "warning"},
                        {"host", finding.host},
                        {"what", finding.what},
                        {"remedy", finding.remedy}});
  }
  json root = {{"hosts", hosts},
               {"findings", findings},
               {"master_addr", report.check.master_addr},
               {"master_port", report.check.master_port},
               {"master_port_fault", report.check.port_fault}};
  if (report.has_speeds) {
    root["pairs"] = json::array();
    for (const PairSpeed& speed : report.speeds) {
      root["pairs"].push_back({{"from", report.check.hosts[speed.from].host},
                               {"to", report.check.hosts[speed.to].host},
                               {"bytes_per_s", speed.bytes_per_s},
                               {"latency_s", speed.latency_s}});
    }
  }
  if (report.advice) root["advice"] = advice_to_json(*report.advice);
  return root.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace deepspeed::hosts
