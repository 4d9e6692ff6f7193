// The `ds_ssh` program: one command on all hosts at once.
#pragma once

#include <string>
#include <vector>

#include "hosts/tool.h"

namespace deepspeed::hosts {

/// What the login shell of each host gets: one word as it is, a text for that shell; of several each in quotes, so that
/// the program there gets them as they were given here. Pure; takes at least one word.
std::string remote_text(const std::vector<std::string>& words);

/// The exit code of the first host (in the order of the hostfile) whose command failed, 255 where it was not reached; 2
/// for bad input. Throws IoError where its own output cannot be written, which ends all ssh's.
int run_ds_ssh(const ToolCall& call);

}  // namespace deepspeed::hosts
