#include "hosts/ds_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "fake_ssh.h"

namespace deepspeed::hosts {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

HostFacts good_facts() {
  HostFacts facts{.version = "0.1.0", .kernel = "6.1", .cpu = "EPYC", .num_sockets = 2, .num_cores = 64};
  facts.gpus = {"H100", "H100"};
  facts.shared_memory_bytes = int64_t{1} << 35;
  facts.kernels = {.simd = {"AVX-512", "AVX2"}, .simd_used = "AVX2", .cuda_optimizers = true};
  facts.python = {.interpreter = "/v/bin/python3", .versions = {{"python", "3.11.7"}, {"torch", "2.13.0"}}};
  return facts;
}

TEST(DsReport, OneHostIsATableOfFacts) {
  const std::string text = report_text(good_facts(), {});
  EXPECT_THAT(text, StartsWith("deepspeed-cpp      0.1.0\n"));
  EXPECT_THAT(text, HasSubstr("torch              2.13.0\n"));
  EXPECT_THAT(text, HasSubstr("GPUs               2 x H100\n"));
  EXPECT_THAT(text, HasSubstr("CPU kernels for    AVX-512, AVX2\n"));
  EXPECT_THAT(text, HasSubstr("CUDA optimizers    built, not used yet\n"));
  EXPECT_THAT(text, Not(HasSubstr("warning")));
}

TEST(DsReport, FlagsLeaveOutKernelsAndWarnings) {
  HostFacts facts = good_facts();
  facts.shared_memory_bytes = 64 << 20;
  EXPECT_THAT(report_text(facts, {}), HasSubstr("warning: /dev/shm has 67.1 MB"));
  const std::string text = report_text(facts, {.shows_kernels = false, .shows_warnings = false});
  EXPECT_THAT(text, Not(HasSubstr("CPU kernels")));
  EXPECT_THAT(text, Not(HasSubstr("warning")));
}

TEST(DsReport, EachFaultIsAWarning) {
  EXPECT_THAT(report_warnings(good_facts()), IsEmpty());
  HostFacts facts = good_facts();
  facts.python.versions["torch"] = "";
  facts.io_uring_fault = "Operation not permitted";
  facts.kernels.cuda_optimizers = false;
  facts.shared_memory_bytes = 0;
  EXPECT_EQ(report_warnings(facts).size(), 4u);
}

TEST(DsReport, SeveralHostsAreOneTableWithTheDifferencesMarked) {
  std::vector<ReportedHost> hosts = {{.host = "node1", .facts = good_facts()},
                                     {.host = "node2", .facts = good_facts()},
                                     {.host = "node3", .facts = good_facts()},
                                     {.host = "node4", .has_answered = false}};
  hosts[0].facts.python.versions["torch"] = "2.12.0";
  hosts[3].no_answer = {NoAnswerKind::kTimedOut, "no answer", "Try: ping node4"};
  const std::string text = hosts_report_text(hosts, {});
  EXPECT_THAT(text, HasSubstr("  2.13.0 "));
  EXPECT_THAT(text, HasSubstr("  * node1: 2.12.0\n"));
  EXPECT_THAT(text, HasSubstr("1 of 4 hosts did not answer:\n  node4: no answer. Try: ping node4\n"));
  EXPECT_EQ(text.find('*'), text.rfind('*'));
  const auto root = nlohmann::json::parse(hosts_report_json(hosts));
  EXPECT_EQ(root["hosts"][0]["facts"]["python"]["versions"]["torch"], "2.12.0");
  EXPECT_EQ(root["hosts"][3]["reason"], "timed_out");
}

TEST(DsReport, AHostThatAnswersNonsenseIsNamedAndTheOthersAreReported) {
  const FakeSsh ssh(R"(odd) answer_to '"facts"' 'Welcome!'; exit;;)");
  ::testing::internal::CaptureStdout();
  const int exit_code =
      run_ds_report(ssh.call(DS_CHECK_PROGRAM, {"--hostfile", ssh.write_hostfile({"good", "odd"}), "--timeout", "10"}));
  const std::string text = ::testing::internal::GetCapturedStdout();
  EXPECT_EQ(exit_code, kFaultsExit);
  EXPECT_THAT(text, HasSubstr("of 1 host"));
  EXPECT_THAT(text, HasSubstr("1 of 2 hosts did not answer:\n  odd: its answer makes no sense: "));
}

}  // namespace
}  // namespace deepspeed::hosts
