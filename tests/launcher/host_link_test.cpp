#include "launcher/host_link.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>
#include <string>
#include <vector>

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

}  // namespace
}  // namespace deepspeed::launcher
