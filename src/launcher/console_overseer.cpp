// Signals of the terminal become demands, lines go to the console.
#include "launcher/console_overseer.h"

#include <unistd.h>

#include <cstring>

#include "deepspeed/error.h"

namespace deepspeed::launcher {

ConsoleOverseer::ConsoleOverseer(int live_rank, int collapses_lines_of)
    : console_(STDOUT_FILENO, STDERR_FILENO, live_rank) {
  if (collapses_lines_of > 0) console_.collapse(collapses_lines_of);
}

void ConsoleOverseer::finish(int signal) {
  console_.finish_lines();
  if (failure_) {
    console_.say(describe_failure(*failure_));
  } else if (signal != 0) {
    console_.say(concat("deepspeed: got SIG", sigabbrev_np(signal), ", all ranks were ended.\n"));
  }
  console_.flush();
}

}  // namespace deepspeed::launcher
