// The `ds_report` program: what is installed and what this machine, or each of several, can do.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "hosts/host_facts.h"
#include "hosts/no_answer.h"
#include "hosts/tool.h"

namespace deepspeed::hosts {

struct ReportOptions {
  bool shows_kernels = true;   ///< not with --hide_operator_status
  bool shows_warnings = true;  ///< not with --hide_errors_and_warnings
};

/// A host of a report.
struct ReportedHost {
  std::string host;
  bool has_answered = true;
  NoAnswer no_answer = {};
  HostFacts facts = {};
};

// Pure.

/// (name, value) for people, in order.
std::vector<std::pair<std::string, std::string>> report_rows(const HostFacts& facts, const ReportOptions& options);
/// What to look at on a host: sentences.
std::vector<std::string> report_warnings(const HostFacts& facts);
std::string report_text(const HostFacts& facts, const ReportOptions& options);
/// A row a fact: what most hosts have, and behind it who has something else, marked with *.
std::string hosts_report_text(const std::vector<ReportedHost>& hosts, const ReportOptions& options);
std::string hosts_report_json(const std::vector<ReportedHost>& hosts);

/// 0; 1 where a host did not answer; 2 for bad input.
int run_ds_report(const ToolCall& call);

}  // namespace deepspeed::hosts
