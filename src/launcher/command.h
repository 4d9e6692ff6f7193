// What each rank executes: a Python interpreter with the script, or the program itself.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "launcher/options.h"

namespace deepspeed::launcher {

using Environment = std::map<std::string, std::string>;

/// The words before and after the place where --local_rank=N goes.
struct Command {
  std::vector<std::string> words;      ///< interpreter and its flags, script; never empty
  std::vector<std::string> arguments;  ///< the script's own, untouched
  bool pass_local_rank = true;

  std::vector<std::string> for_local_rank(int local_rank) const;
};

/// An executable file of that name in a folder of PATH; nothing where there is none.
std::optional<std::filesystem::path> find_on_path(const std::string& name, const Environment& environment);

/// The interpreter beside the `deepspeed` program (a virtual environment's), else $PYTHON, else python3 or python on
/// PATH. `program_folders` are searched in order. Throws ValueError where there is none.
std::filesystem::path find_python(const std::vector<std::filesystem::path>& program_folders,
                                  const Environment& environment);

/// `invoked_as` is argv[0]. Both where it was called and where the file really is, since a venv may hold a link.
std::vector<std::filesystem::path> program_folders(const std::string& invoked_as, const Environment& environment);

/// Decides between Python and a program (an ELF file needs no --no_python). Throws ValueError where the script or
/// program does not exist.
Command resolve_command(const Options& options, const std::vector<std::filesystem::path>& program_folders,
                        const Environment& environment);

}  // namespace deepspeed::launcher
