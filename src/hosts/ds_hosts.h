// The `ds_hosts` program: names of hosts in, a hostfile out.
#pragma once

#include <string>
#include <vector>

#include "hosts/device_question.h"
#include "hosts/no_answer.h"
#include "hosts/tool.h"

namespace deepspeed::hosts {

/// What one host said, or why it said nothing.
struct HostDevices {
  std::string name;
  bool has_answered = false;
  Devices devices = {};
  NoAnswer no_answer = {};  ///< where it has not
};

// The three are pure, and take at least one host.

/// Lines of a hostfile for the hosts that answered; parse_hostfile() reads it.
std::string hostfile_text(const std::vector<HostDevices>& hosts);
/// A table, and below it a line with what to do for each host that did not answer.
std::string devices_text(const std::vector<HostDevices>& hosts);
std::string devices_json(const std::vector<HostDevices>& hosts);

/// 0; 1 where a host did not answer; 2 for bad input.
int run_ds_hosts(const ToolCall& call);

}  // namespace deepspeed::hosts
