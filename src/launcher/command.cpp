// Finding the interpreter, the script and the program.
#include "launcher/command.h"

#include <unistd.h>

#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

bool is_program(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0;
}

bool is_elf(const std::filesystem::path& path) {
  char magic[4] = {};
  std::ifstream file(path, std::ios::binary);
  return file.read(magic, sizeof(magic)) && std::string_view(magic, sizeof(magic)) == "\177ELF";
}

// A path that exec takes as a file, never as a name to look up.
std::string as_file(const std::string& path) { return path.find('/') == std::string::npos ? "./" + path : path; }

std::string find_program(const std::string& name, const Environment& environment) {
  if (name.find('/') != std::string::npos) {
    DS_CHECK(is_program(name), ValueError, "[launcher] ", name,
             " is not an executable file. Check the path, or its x permission.");
    return name;
  }
  const auto found = find_on_path(name, environment);
  const char* hint = is_program(name) ? " One stands in the current folder: write ./ before its name." : "";
  DS_CHECK(found, ValueError, "[launcher] --no_python: no program \"", name, "\" on PATH.", hint);
  return found->string();
}

}  // namespace

std::optional<std::filesystem::path> find_on_path(const std::string& name, const Environment& environment) {
  const auto path = environment.find("PATH");
  std::istringstream folders(path == environment.end() ? "/usr/local/bin:/usr/bin:/bin" : path->second);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const auto candidate = std::filesystem::path(folder.empty() ? "." : folder) / name;
    if (is_program(candidate)) return candidate;
  }
  return std::nullopt;
}

std::vector<std::string> Command::for_local_rank(int local_rank) const {
  std::vector<std::string> all = words;
  if (pass_local_rank) all.push_back(concat("--local_rank=", local_rank));
  all.insert(all.end(), arguments.begin(), arguments.end());
  return all;
}

std::vector<std::filesystem::path> program_folders(const std::string& invoked_as, const Environment& environment) {
  std::vector<std::filesystem::path> folders;
  if (invoked_as.find('/') != std::string::npos) {
    folders.push_back(std::filesystem::path(invoked_as).parent_path());
  } else if (const auto found = find_on_path(invoked_as, environment)) {
    folders.push_back(found->parent_path());
  }
  std::error_code error;
  const auto real = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) folders.push_back(real.parent_path());
  return folders;
}

std::filesystem::path find_python(const std::vector<std::filesystem::path>& program_folders,
                                  const Environment& environment) {
  for (const auto& folder : program_folders) {
    for (const char* name : {"python3", "python"}) {
      if (is_program(folder / name)) return folder / name;
    }
  }
  const auto chosen = environment.find("PYTHON");
  if (chosen != environment.end() && !chosen->second.empty()) return find_program(chosen->second, environment);
  for (const char* name : {"python3", "python"}) {
    if (const auto found = find_on_path(name, environment)) return *found;
  }
  throw ValueError(
      "[launcher] no Python: none beside the deepspeed program, none in $PYTHON, none on PATH. Set PYTHON, or pass "
      "--no_python to start a program.");
}

Command resolve_command(const Options& options, const std::vector<std::filesystem::path>& program_folders,
                        const Environment& environment) {
  Command command;
  command.arguments = options.script_arguments;
  command.pass_local_rank = !options.no_local_rank;
  if (options.no_python) {
    command.words = {find_program(options.script, environment)};
    return command;
  }
  if (options.module) {
    command.words = {find_python(program_folders, environment).string(), "-u", "-m", options.script};
    return command;
  }
  std::error_code error;
  DS_CHECK(std::filesystem::exists(options.script, error), ValueError, "[launcher] no script ", options.script, " in ",
           std::filesystem::current_path(error).string(),
           ". A module takes --module; a program on PATH takes --no_python.");
  if (is_elf(options.script)) {
    command.words = {find_program(as_file(options.script), environment)};
  } else {
    command.words = {find_python(program_folders, environment).string(), "-u", options.script};
  }
  return command;
}

}  // namespace deepspeed::launcher
