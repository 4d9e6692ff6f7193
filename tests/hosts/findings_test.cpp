#include "hosts/findings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace deepspeed::hosts {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kGiB = int64_t{1} << 30;

CheckedHost good_host(const std::string& name) {
  CheckedHost host{.host = name, .num_slots = 1};
  host.facts.host_name = name;
  host.facts.boot_id = "boot of " + name;
  host.facts.addresses = {"10.0.0." + name.substr(4)};
  host.facts.memory_bytes = 64 * kGiB;
  host.facts.memory_free_bytes = 60 * kGiB;
  host.facts.shared_memory_bytes = 32 * kGiB;
  host.facts.shared_memory_free_bytes = 32 * kGiB;
  host.facts.python = {
      .interpreter = "/v/bin/python3",
      .versions = {
          {"python", "3.11.7"}, {"torch", "2.13.0"}, {"deepspeed", "0.19.8"}, {"CUDA", "13.0"}, {"NCCL", "2.29.0"}}};
  return host;
}

Check good_hosts(int count) {
  Check check;
  for (int i = 1; i <= count; ++i) {
    check.hosts.push_back(good_host("node" + std::to_string(i)));
    if (i > 1) check.hosts.back().meeting = Meeting{.interface = "eth0", .round_trip_s = 1e-4};
  }
  check.master_addr = "10.0.0.1";
  check.master_port = 29500;
  return check;
}

auto finding(Severity severity, const std::string& host, const std::string& what) {
  return AllOf(Field(&Finding::severity, severity), Field(&Finding::host, host),
               Field(&Finding::what, HasSubstr(what)));
}

TEST(Findings, GoodHostsHaveNone) { EXPECT_THAT(find_faults(good_hosts(4)), IsEmpty()); }

TEST(Findings, AllFaultsOfAllHostsAreThereErrorsFirst) {
  Check check = good_hosts(8);
  check.hosts[7].no_answer = NoAnswer{NoAnswerKind::kNeedsPassword, "ssh needs a password", "ssh-copy-id node8"};
  check.hosts[5].facts.python.versions["torch"] = "2.12.0";
  check.hosts[2].meeting->fault = "Connection refused";
  check.hosts[1].clock_ahead_s = -90;
  EXPECT_THAT(
      find_faults(check),
      ElementsAre(finding(Severity::kError, "node3", "does not reach node1 at 10.0.0.1:29500: Connection refused"),
                  finding(Severity::kError, "node6", "torch is 2.12.0, but 2.13.0 on 6 of 7 hosts"),
                  finding(Severity::kError, "node8", "ssh needs a password"),
                  finding(Severity::kWarning, "node2", "its clock is 90 s behind the others'")));
}

TEST(Findings, EachDifferenceOfVersionsIsOne) {
  for (const char* what : {"torch", "deepspeed", "CUDA", "NCCL"}) {
    Check check = good_hosts(3);
    check.hosts[1].facts.python.versions[what] = "";
    const auto findings = find_faults(check);
    ASSERT_FALSE(findings.empty()) << what;
    EXPECT_THAT(findings.back(), finding(Severity::kError, "node2", std::string(what) + " is not installed"));
  }
  Check check = good_hosts(3);
  check.hosts[1].facts.python.versions["python"] = "3.11.9";
  EXPECT_THAT(find_faults(check), IsEmpty());
  check.hosts[1].facts.python.versions["python"] = "3.12.1";
  EXPECT_THAT(find_faults(check),
              ElementsAre(finding(Severity::kError, "node2", "python is 3.12, but 3.11 on 2 of 3")));
}

TEST(Findings, APythonThatDoesNotAnswerIsOne) {
  Check check = good_hosts(2);
  check.hosts[1].facts.python = {.interpreter = "/usr/bin/python3", .fault = "exit code 1: no module json"};
  EXPECT_THAT(find_faults(check), ElementsAre(finding(Severity::kError, "node2", "does not answer: exit code 1")));
}

TEST(Findings, AClockThatMayBeRightIsNone) {
  Check check = good_hosts(3);
  check.hosts[2].clock_ahead_s = 1.4;
  check.hosts[2].clock_uncertain_s = 0.5;
  EXPECT_THAT(find_faults(check), IsEmpty());
  check.hosts[2].clock_uncertain_s = 0.1;
  EXPECT_THAT(find_faults(check), ElementsAre(finding(Severity::kWarning, "node3", "1.4 s ahead of")));
}

TEST(Findings, APortThatIsTakenIsThatOfTheFirstHostThatAnswered) {
  Check check = good_hosts(3);
  check.hosts[0].no_answer = NoAnswer{NoAnswerKind::kRefused, "connection refused", ""};
  check.port_fault = "Address already in use";
  for (CheckedHost& host : check.hosts) host.meeting.reset();
  EXPECT_EQ(meeting_host(check), 1u);
  EXPECT_THAT(find_faults(check), ElementsAre(finding(Severity::kError, "node1", "connection refused"),
                                              finding(Severity::kError, "node2", "its port 29500 is not free")));
}

TEST(Findings, WhereNoPortWasAskedForNoneIsNamed) {
  Check check = good_hosts(2);
  check.master_port = 0;
  check.port_fault = "Too many open files";
  check.hosts[1].meeting.reset();
  EXPECT_THAT(find_faults(check),
              ElementsAre(finding(Severity::kError, "node1", "it cannot listen on any port: Too many open files")));
}

TEST(Findings, ALoopbackAddressIsNoPlaceToMeet) {
  Check check = good_hosts(2);
  check.master_addr = "127.0.1.1";
  EXPECT_THAT(find_faults(check), ElementsAre(finding(Severity::kError, "node2", "would meet node1 at 127.0.1.1")));
}

TEST(Findings, MoreSlotsThanGpusAndAHostWithoutGpusAmongOthers) {
  Check check = good_hosts(3);
  check.hosts[0].facts.gpus = {"H100", "H100"};
  check.hosts[0].num_slots = 4;
  check.hosts[1].facts.gpus = {"H100"};
  EXPECT_THAT(find_faults(check), ElementsAre(finding(Severity::kError, "node1", "slots=4, but it has 2 GPUs"),
                                              finding(Severity::kError, "node3", "has no GPU")));
}

TEST(Findings, OneMachineUnderTwoNamesIsSaid) {
  Check check = good_hosts(3);
  check.hosts[2].facts.boot_id = check.hosts[0].facts.boot_id;
  EXPECT_THAT(find_faults(check), IsEmpty());  // two hosts of one kernel, each with addresses of its own
  check.hosts[2].facts.addresses = check.hosts[0].facts.addresses;
  EXPECT_THAT(find_faults(check), ElementsAre(finding(Severity::kWarning, "node3", "is the same machine as node1")));
}

TEST(Findings, LittleMemoryIsAWarning) {
  Check check = good_hosts(3);
  check.hosts[0].facts.memory_free_bytes = kGiB;
  check.hosts[1].facts.shared_memory_bytes = 64 << 20;
  check.hosts[2].facts.shared_memory_free_bytes = kGiB;
  EXPECT_THAT(find_faults(check), ElementsAre(finding(Severity::kWarning, "node1", "only 1.07 GB of its 68.7 GB"),
                                              finding(Severity::kWarning, "node2", "/dev/shm has 67.1 MB"),
                                              finding(Severity::kWarning, "node3", "of /dev/shm are free")));
}

TEST(Findings, AStreamThatDoesNotComeThroughIsOne) {
  Check check = good_hosts(3);
  check.broken_pairs = {{2, 1, "no answer within 1.2 s"}};
  EXPECT_THAT(find_faults(check), ElementsAre(finding(Severity::kError, "node3", "no stream to node2: no answer")));
}

}  // namespace
}  // namespace deepspeed::hosts
