// The program on each host of a check: `ds_check --host_probe`, started over ssh. See [Note: Probe].
#pragma once

#include "hosts/host_facts.h"
#include "hosts/tool.h"

namespace deepspeed::hosts {

/// Answers on standard output what comes on standard input, until that ends. Returns its exit code.
int run_probe(const ToolCall& call);

/// The facts of this host, of the Python that ranks of this installation would run.
HostFacts facts_of_this_host(const ToolCall& call);

}  // namespace deepspeed::hosts
