#include "launcher/output_queue.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <string>

#include "launcher/pseudo_terminal.h"

namespace deepspeed::launcher {
namespace {

TEST(OutputQueue, ATerminalThatNobodyReadsHoldsNothingUp) {
  const PseudoTerminal terminal = open_pseudo_terminal();
  OutputQueue queue(terminal.rank_end.get());
  queue.push(std::string(OutputQueue::kFullBytes, 'x'));
  // With some room that is less than a write, too.
  for (int i = 0; i < 1000; ++i) {
    queue.write_some();
    char some[100];
    if (i < 100) (void)!::read(terminal.our_end.get(), some, sizeof(some));
  }
  EXPECT_FALSE(queue.is_empty());
  EXPECT_FALSE(queue.is_broken());
}

}  // namespace
}  // namespace deepspeed::launcher
