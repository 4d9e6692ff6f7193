// An `ssh` for tests that goes nowhere: a script which does what the host was asked for on this machine.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "hosts/tool.h"
#include "support/scratch_folder.h"

namespace deepspeed::hosts {

class FakeSsh {
 public:
  /// `arms`: of a shell's `case` over the host's name, for hosts that do something else. They have the command in
  /// $remote, and may use `answer_to WORD LINE`: the command, but LINE answers requests with WORD in them.
  explicit FakeSsh(const std::string& arms = "") {
    const auto script = folder_.path() / "ssh";
    std::ofstream(script) << R"(#!/bin/sh
while [ "$1" != -- ]; do shift; done
remote=$3
answer_to() {
  { while read -r line; do
      case "$line" in *"$1"*) printf '%s\n' "$2" >&3 ;; *) printf '%s\n' "$line" ;; esac
    done | /bin/sh -c "$remote"; } 3>&1
}
case "$2" in
)" << arms << R"(
esac
exec /bin/sh -c "$remote"
)";
    std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  }

  std::string write_hostfile(const std::vector<std::string>& hosts) const {
    const auto path = folder_.path() / "hostfile.txt";
    std::ofstream file(path);
    for (const std::string& host : hosts) file << host << " slots=1\n";
    return path.string();
  }

  /// Of the program at that path.
  ToolCall call(const std::string& program, std::vector<std::string> arguments) const {
    return {program, std::move(arguments), {{"PATH", folder_.path().string() + ":/usr/bin:/bin"}}};
  }
  const std::filesystem::path& folder() const { return folder_.path(); }

 private:
  test::ScratchFolder folder_;
};

}  // namespace deepspeed::hosts
