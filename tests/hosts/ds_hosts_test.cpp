#include "hosts/ds_hosts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "launcher/hostfile.h"

namespace deepspeed::hosts {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<HostDevices> three_hosts() {
  return {{.name = "node1", .has_answered = true, .devices = {.host_name = "n1", .gpus = {"H100", "H100"}}},
          {.name = "10.0.0.3", .no_answer = {NoAnswerKind::kRefused, "connection refused", "Start sshd there."}},
          {.name = "node2", .has_answered = true, .devices = {.host_name = "n2", .num_sockets = 2, .num_cpus = 8}}};
}

TEST(DsHosts, TheHostfileHasThoseThatAnsweredAndIsRead) {
  const std::string text = hostfile_text(three_hosts());
  EXPECT_EQ(text, "node1 slots=2 # 2 x H100\nnode2 slots=2\n");
  EXPECT_THAT(launcher::parse_hostfile(text, "written"),
              ElementsAre(launcher::Host{"node1", {0, 1}}, launcher::Host{"node2", {0, 1}}));
}

TEST(DsHosts, ANameOfAGpuAddsNoLineToTheHostfile) {
  auto hosts = three_hosts();
  hosts[0].devices.gpus = {"H100\nevil slots=8"};
  EXPECT_THAT(launcher::parse_hostfile(hostfile_text(hosts), "written"),
              ElementsAre(launcher::Host{"node1", {0}}, launcher::Host{"node2", {0, 1}}));
}

TEST(DsHosts, TheTableSaysWhoDidNotAnswerAndWhatToDo) {
  const std::string text = devices_text(three_hosts());
  EXPECT_THAT(text, HasSubstr("node1     2      2 x H100   1            1\n"));
  EXPECT_THAT(text, HasSubstr("1 of 3 hosts did not answer.\n  10.0.0.3: connection refused. Start sshd there.\n"));
}

TEST(DsHosts, JsonHasTheSame) {
  const auto root = nlohmann::json::parse(devices_json(three_hosts()));
  EXPECT_EQ(root["hosts"][0]["slots"], 2);
  EXPECT_EQ(root["hosts"][1]["reason"], "connection_refused");
  EXPECT_EQ(root["hosts"][1]["answered"], false);
}

}  // namespace
}  // namespace deepspeed::hosts
