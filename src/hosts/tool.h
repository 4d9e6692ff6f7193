// How the programs about hosts are called, and how they end.
#pragma once

#include <string>
#include <vector>

#include "launcher/command.h"

namespace deepspeed::hosts {

inline constexpr int kFaultsExit = 1;    ///< a host did not answer, or something is wrong with one
inline constexpr int kBadInputExit = 2;  ///< with a message on standard error

struct ToolCall {
  std::string invoked_as;  ///< argv[0]
  std::vector<std::string> arguments;
  launcher::Environment environment;
};

/// Calls `body` and returns its exit code; an exception is a line on standard error and kBadInputExit (bad input) or
/// kFaultsExit. Throws nothing. Writing to a closed pipe is no signal from here on.
int run_tool(const char* name, int argc, const char* const* argv, int (*body)(const ToolCall& call));

/// Where the program that runs is, without following links, so that others of the same installation are beside it.
std::string folder_of_program(const ToolCall& call);

}  // namespace deepspeed::hosts
