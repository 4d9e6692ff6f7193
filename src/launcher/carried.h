// What goes from this host to the others of a launch: variables, and where this program is.
#pragma once

#include <string>

#include "launcher/command.h"

namespace deepspeed::launcher {

/// exported_variables(), then the lines of the home folder's environment file, then those of `folder`, each over the
/// one before. Throws ValueError where a file is bad, IoError where it cannot be read.
Environment carried_variables(const Environment& environment, const std::string& folder);

/// Where this program was called, without following links: beside it may be the Python of a virtual environment.
std::string path_of_program(const std::string& invoked_as, const Environment& environment);

}  // namespace deepspeed::launcher
