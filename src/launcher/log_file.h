// A rank's log file: made new, and read for its end.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/descriptor.h"

namespace deepspeed::launcher {

/// Creates the file and its folder; both of a rank's outputs append to it. Throws ValueError where it exists, IoError
/// where it cannot be made.
core::Descriptor create_log_file(const std::filesystem::path& path);

/// Its last lines, as LastLines keeps them; none where it cannot be read.
std::vector<std::string> last_lines_of_file(const std::filesystem::path& path);

}  // namespace deepspeed::launcher
