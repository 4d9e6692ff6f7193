// The `deepspeed` program: from its arguments to its exit code.
#pragma once

namespace deepspeed::launcher {

/// Exit code 0, the first failing rank's own, 128 + signal, or 2 with a message on standard error for bad input. Throws
/// nothing.
int run(int argc, const char* const* argv);

}  // namespace deepspeed::launcher
