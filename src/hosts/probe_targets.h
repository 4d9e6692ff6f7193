// How a probe is started on each host of a list. Pure but for looking where ssh and this program are.
#pragma once

#include <vector>

#include "hosts/probe_sessions.h"
#include "hosts/tool.h"
#include "hosts/tool_flags.h"

namespace deepspeed::hosts {

/// Over ssh: ds_check beside this program, at the same path there, else the one on PATH there.
std::vector<ProbeTarget> probe_targets(const ToolCall& call, const SshFlags& flags,
                                       const std::vector<launcher::Host>& hosts);

/// What the login shell there gets; `path` is quoted. Pure.
std::string remote_probe(const std::string& path);

}  // namespace deepspeed::hosts
