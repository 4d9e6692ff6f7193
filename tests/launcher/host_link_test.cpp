#include "launcher/host_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "deepspeed/error.h"
#include "launcher/frame.h"
#include "launcher/watch.h"
#include "temporary_folder.h"

namespace deepspeed::launcher {
namespace {

constexpr int kNumLines = 20'000;

TEST(HostLink, WhatAnAgentSaidBeforeItEndedIsTakenThoughItListensNoMore) {
  ::signal(SIGPIPE, SIG_IGN);  // as the launcher does
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "said").string();
  std::ofstream said(path, std::ios::binary);
  said << kPreamble << encode_frame(FrameKind::kHello, "");
  for (int i = 0; i < kNumLines; ++i) said << encode_frame(FrameKind::kLine, "a line");
  said.close();
  HostLink link({"a", {0}}, {"/bin/sh", "-c", "exec 0<&-; exec cat \"$1\"", "sh", path});
  int num_lines = 0;
  while (!link.is_lost()) {
    std::vector<Watch> watches;
    link.add_watches(watches);
    wait_for(watches, link.channel().next_beat());
    while (const auto frame = link.channel().next()) {
      num_lines += frame->kind == FrameKind::kLine ? 1 : 0;
      link.state = HostLink::State::kRunning;
    }
    if (link.state == HostLink::State::kRunning) link.channel().send(FrameKind::kCredit, "1");
  }
  EXPECT_EQ(num_lines, kNumLines);
}

// Until its connection is lost and its program is gone.
void follow(HostLink& link) {
  while (!link.is_lost() || link.is_running()) {
    std::vector<Watch> watches;
    link.add_watches(watches);
    wait_for(watches, std::chrono::steady_clock::now() + std::chrono::milliseconds(50));
    try {
      link.channel().next();
    } catch (const ValueError& error) {
      link.note_nonsense(error.what());
    }
    int status = 0;
    if (link.is_running() && ::waitpid(link.pid(), &status, WNOHANG) == link.pid()) link.note_exit(status);
  }
}

TEST(HostLink, WhatALoginShellSaysInsteadOfAnAgentIsQuoted) {
  HostLink link({"a", {0}}, {"/bin/sh", "-c", "echo 'This account is not available.'; exit 1"});
  follow(link);
  EXPECT_EQ(link.describe_loss(), "no agent there (exit code 1): This account is not available.");
}

TEST(HostLink, AHostThatTalksWithoutEndIsLostByItself) {
  HostLink link({"a", {0}}, {"/bin/sh", "-c", "yes 'welcome' | head -c 400000"});
  follow(link);
  EXPECT_THAT(link.describe_loss(), ::testing::HasSubstr("no agent answered, but something wrote"));
  EXPECT_THAT(link.describe_loss(), ::testing::HasSubstr(": welcome / welcome"));
}

TEST(HostLink, KillReachesWhatTheProgramHasStarted) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "up").string();
  HostLink link({"a", {0}}, {"/bin/sh", "-c", "sleep 1000 & : > \"$1\"; wait", "sh", path});
  while (!std::filesystem::exists(path)) {
  }
  link.kill();
  follow(link);
  while (!link.channel().is_at_end()) {  // the pipe's last writer is gone too
    std::vector<Watch> watches;
    link.add_watches(watches);
    wait_for(watches, std::chrono::steady_clock::time_point::max());
  }
}

TEST(HostLink, AProgramThatWasKilledIsLostThoughAnotherHoldsItsPipe) {
  const TemporaryFolder folder;
  const std::string path = (folder.path() / "pid").string();
  HostLink link({"a", {0}},
                {"/bin/sh", "-c", "sleep 1000 & echo $! > \"$1.new\"; mv \"$1.new\" \"$1\"; wait", "sh", path}, true);
  while (!std::filesystem::exists(path)) {
  }
  link.kill();
  follow(link);
  EXPECT_FALSE(link.channel().is_at_end());
  pid_t pid = 0;
  std::ifstream(path) >> pid;
  ::kill(pid, SIGKILL);
}

}  // namespace
}  // namespace deepspeed::launcher
