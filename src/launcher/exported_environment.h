// Which environment variables go to the other hosts. Pure functions of text and maps.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "launcher/command.h"

namespace deepspeed::launcher {

/// Variables whose names begin with MLFLOW, MV2, NCCL, PYTHON, UCX (as DeepSpeed has it), or with DEEPSPEED_, DS_,
/// GLOO_, OMP_ or TORCH_. In an Azure AISC job (AISC_JOB_NAME is set) each host has an NCCL_IB_HCA and UCX_NET_DEVICES
/// of its own. Names that no shell could export are left out. PYTHONPATH gets `folder` in front, as Python does for
/// what is started there.
Environment exported_variables(const Environment& environment, const std::string& folder);

/// Reads an environment file (.deepspeed_env): lines NAME=VALUE, the value as it is to the end of the line; blank
/// lines, lines that start with #, and `export ` before the name are skipped. Throws ValueError naming `path`, line and
/// column.
Environment parse_environment_file(std::string_view text, const std::string& path);

/// "NAME=value ..." for the user to read. Where the name tells of a secret (KEY, TOKEN, SECRET, PASS ...), or the value
/// looks like one (https://user:password@host, AccountKey=...), *** stands for the value.
std::string describe_variables(const Environment& variables);

}  // namespace deepspeed::launcher
