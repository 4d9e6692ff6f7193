#include "hosts/check_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace deepspeed::hosts {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

CheckReport two_hosts() {
  CheckReport report;
  for (const char* name : {"node1", "node2", "node3"}) {
    report.check.hosts.push_back({.host = name, .num_slots = 4});
    report.check.hosts.back().facts.python.versions = {{"python", "3.11.7"}, {"torch", "2.13.0"}};
  }
  report.check.hosts[1].meeting = Meeting{.interface = "eth0", .round_trip_s = 1.5e-4};
  report.check.hosts[2].no_answer = NoAnswer{NoAnswerKind::kRefused, "connection refused", "Start sshd there."};
  report.check.master_addr = "10.0.0.1";
  report.check.master_port = 29500;
  report.findings = {{Severity::kError, "node3", "connection refused", "Start sshd there."},
                     {Severity::kWarning, "node2", "its clock is 3 s behind the others'", ""}};
  return report;
}

TEST(CheckReport, PeopleSeeTablesAndAllFindings) {
  const std::string text = check_text(two_hosts());
  EXPECT_THAT(text, HasSubstr("node1  4      0          3.11.7  2.13.0  -          -     -     0          listens"));
  EXPECT_THAT(text, HasSubstr("eth0, 0.15 ms"));
  EXPECT_THAT(text, HasSubstr("Hosts meet at 10.0.0.1:29500.\n"));
  EXPECT_THAT(text, HasSubstr("1 error, 1 warning:\n  error   node3: connection refused. Start sshd there.\n"
                              "  warning node2: its clock is 3 s behind the others'.\n"));
  EXPECT_THAT(text, Not(HasSubstr("Gb/s")));
}

TEST(CheckReport, SpeedsAndAdviceAreTablesOfTheirOwn) {
  CheckReport report = two_hosts();
  report.has_speeds = true;
  report.speeds = {{0, 1, 1.25e8, 5e-5}};
  report.advice = NetworkAdvice{{{3, 2.1e9, 16.8, 17, 0.05}}, "1 Gb/s: a ZeRO-3 step moves 2.1 GB."};
  const std::string text = check_text(report);
  EXPECT_THAT(text, HasSubstr("from   to     Gb/s  latency, ms\nnode1  node2  1     0.05\n"));
  EXPECT_THAT(text, HasSubstr("3     2.1 GB"));
  EXPECT_THAT(text, HasSubstr("1 Gb/s: a ZeRO-3 step moves 2.1 GB."));
}

TEST(CheckReport, NoFaultIsSaidToo) {
  CheckReport report = two_hosts();
  report.findings.clear();
  EXPECT_THAT(check_text(report), HasSubstr("No faults on 3 hosts.\n"));
}

TEST(CheckReport, JsonHasTheSame) {
  CheckReport report = two_hosts();
  report.has_speeds = true;
  report.speeds = {{0, 1, 1.25e8, 5e-5}};
  const auto root = nlohmann::json::parse(check_json(report));
  EXPECT_EQ(root["findings"][0]["severity"], "error");
  EXPECT_EQ(root["findings"][0]["host"], "node3");
  EXPECT_EQ(root["hosts"][2]["reason"], "connection_refused");
  EXPECT_EQ(root["hosts"][1]["meeting"]["interface"], "eth0");
  EXPECT_EQ(root["pairs"][0]["bytes_per_s"], 1.25e8);
  EXPECT_EQ(root["master_port"], 29500);
}

}  // namespace
}  // namespace deepspeed::hosts
