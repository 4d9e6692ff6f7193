#include "core/subprocess.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "core/descriptor.h"
#include "deepspeed/error.h"

namespace deepspeed::core {
namespace {

using ::testing::HasSubstr;

// Runs the command to its end and returns what it wrote.
std::string output_of(SpawnOptions options) {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Descriptor read_end(ends[0]);
  Descriptor write_end(ends[1]);
  options.stdout_fd = write_end.get();
  const pid_t pid = spawn(options);
  write_end.reset();
  std::string text;
  char buffer[4096];
  for (ssize_t count; (count = ::read(read_end.get(), buffer, sizeof(buffer))) > 0;)
    text.append(buffer, static_cast<size_t>(count));
  ::waitpid(pid, nullptr, 0);
  return text;
}

TEST(Subprocess, ArgumentsAndEnvironmentArriveUnchanged) {
  EXPECT_EQ(output_of({.command = {"/bin/sh", "-c", "printf '%s|' \"$@\" \"$NAME\"", "sh", "a  b", "$(x)", ""},
                       .environment = {"NAME=c * d"}}),
            "a  b|$(x)||c * d|");
}

TEST(Subprocess, ChildHasTheLimitOfOpenFilesThatItIsGiven) {
  const std::vector<std::string> command = {"/bin/sh", "-c", "ulimit -Sn"};
  EXPECT_EQ(output_of({.command = command, .open_files = rlimit{77, 77}}), "77\n");
  EXPECT_NE(output_of({.command = command}), "77\n");
}

TEST(Subprocess, ChildLeadsAProcessGroupUnlessItSharesOurs) {
  SpawnOptions options{.command = {"/bin/sh", "-c", "ps -o pgid= -p $$ 2>/dev/null || cut -d' ' -f5 /proc/$$/stat"}};
  options.environment = current_environment();
  options.own_process_group = false;
  EXPECT_EQ(std::stoi(output_of(options)), ::getpgrp());
  options.own_process_group = true;
  EXPECT_NE(std::stoi(output_of(options)), ::getpgrp());
}

TEST(Subprocess, MissingProgramIsNamedWithErrnoAndLeavesNoChild) {
  try {
    spawn({.command = {"/nonexistent/program"}});
    FAIL() << "expected IoError";
  } catch (const IoError& error) {
    EXPECT_EQ(error.error_number(), ENOENT);
    EXPECT_EQ(error.path(), "/nonexistent/program");
  }
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(Subprocess, CpusThatAreNotThereAreNamed) {
  try {
    spawn({.command = {"/bin/true"}, .cpus = {4000}});
    FAIL() << "expected IoError";
  } catch (const IoError& error) {
    EXPECT_THAT(error.what(), HasSubstr("to CPUs 4000"));
  }
}

}  // namespace
}  // namespace deepspeed::core
