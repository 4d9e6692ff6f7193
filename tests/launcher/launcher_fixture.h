// The whole program with shell scripts as ranks.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "launch.h"
#include "temporary_folder.h"

namespace deepspeed::launcher {

class LauncherTest : public ::testing::Test {
 protected:
  /// Runs `body` as a shell script on `num_ranks` ranks.
  Launch start(int num_ranks, const std::string& body, std::vector<std::string> flags = {},
               std::vector<std::string> script_arguments = {}, const LaunchSetup& setup = {}) {
    std::vector<std::string> arguments = {"--num_gpus", std::to_string(num_ranks), "--no_python", "--no_local_rank"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    arguments.push_back(folder_.add_program("rank.sh", "#!/bin/sh\n" + body));
    arguments.insert(arguments.end(), script_arguments.begin(), script_arguments.end());
    return Launch(arguments, setup);
  }

  static bool is_gone(pid_t pid) { return ::kill(pid, 0) != 0 && errno == ESRCH; }

  static std::string content(const std::filesystem::path& path) {
    std::ifstream file(path);
    return std::string((std::istreambuf_iterator<char>(file)), {});
  }

  TemporaryFolder folder_;
};

// Ranks that wait for a signal without an end of their own, and say their pid before.
inline constexpr const char* kWaitForever = "echo \"pid$RANK $$ ready\"\nexec sleep 1000\n";

}  // namespace deepspeed::launcher
