// Calling, and saying what went wrong.
#include "hosts/tool.h"

#include <csignal>
#include <exception>
#include <filesystem>
#include <iostream>

#include "deepspeed/error.h"
#include "launcher/launch_plan.h"
#include "launcher/open_files.h"
#include "launcher/standard_descriptors.h"

namespace deepspeed::hosts {
namespace {

int say_error(const char* name, const std::exception& error, int exit_code) {
  std::cerr << name << ": error: " << error.what() << std::endl;
  return exit_code;
}

}  // namespace

int run_tool(const char* name, int argc, const char* const* argv, int (*body)(const ToolCall& call)) {
  launcher::open_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);
  launcher::raise_open_files();
  try {
    return body({argv[0], {argv + 1, argv + argc}, launcher::environment_map()});
  } catch (const ValueError& error) {
    return say_error(name, error, kBadInputExit);
  } catch (const std::exception& error) {
    return say_error(name, error, kFaultsExit);
  }
}

std::string folder_of_program(const ToolCall& call) {
  const auto folders = launcher::program_folders(call.invoked_as, call.environment);
  DS_CHECK(!folders.empty(), ValueError, "[hosts] ", call.invoked_as, ": this program does not find its own folder. ",
           "Call it by its path.");
  return std::filesystem::absolute(folders.front()).lexically_normal().string();
}

}  // namespace deepspeed::hosts
