// A terminal for a rank whose output we read, so that its progress bars behave as on the user's own.
#pragma once

#include "core/descriptor.h"

namespace deepspeed::launcher {

/// The rank writes to `rank_end`; we read `our_end` (which does not block). Bytes pass unchanged. It is nobody's
/// controlling terminal: Ctrl-C reaches the launcher only.
struct PseudoTerminal {
  core::Descriptor our_end;
  core::Descriptor rank_end;
};

/// Throws IoError where the host has no /dev/ptmx.
PseudoTerminal open_pseudo_terminal();

/// Makes it as wide as the terminal `model_fd`, less `margin_columns` for the prefix; again after each SIGWINCH.
void copy_terminal_size(int model_fd, int margin_columns, int our_end);

}  // namespace deepspeed::launcher
