#include "hosts/ds_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "fake_ssh.h"

namespace deepspeed::hosts {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

json check(const FakeSsh& ssh, const std::vector<std::string>& hosts, const std::vector<std::string>& flags) {
  std::vector<std::string> arguments = {"--json", "--hostfile", ssh.write_hostfile(hosts)};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  ::testing::internal::CaptureStdout();
  run_ds_check(ssh.call(DS_CHECK_PROGRAM, arguments));
  return json::parse(::testing::internal::GetCapturedStdout());
}

// What stands against a host; without what holds for this machine, such as that there is no torch.
std::vector<std::string> faults(const json& report, const std::string& host, const std::string& part) {
  std::vector<std::string> found;
  for (const json& one : report["findings"]) {
    const std::string what = one["what"];
    if (one["host"] == host && what.find(part) != std::string::npos) found.push_back(what);
  }
  return found;
}

TEST(DsCheck, AFirstHostThatStopsAnsweringIsThatAndTheOthersMeetAtTheNext) {
  const FakeSsh ssh(R"(slow) answer_to '"listen"' '' | grep --line-buffered .; exit;;)");
  const json report = check(ssh, {"slow", "next", "last"}, {"--timeout", "10"});
  EXPECT_THAT(faults(report, "slow", "did not answer within"),
              ElementsAre(HasSubstr("ssh works, but the probe there")));
  EXPECT_EQ(report["master_port_fault"], "");
  EXPECT_FALSE(report["hosts"][0]["answered"]);
  EXPECT_FALSE(report["hosts"][1].contains("meeting"));
  EXPECT_EQ(report["hosts"][2]["meeting"]["fault"], "");
}

TEST(DsCheck, NoStreamGoesToAHostThatCannotListen) {
  const FakeSsh ssh(R"(full) answer_to '"listen"' '{"port":0,"fault":"Too many open files"}'; exit;;)");
  const json report = check(ssh, {"good", "full"}, {"--timeout", "10", "--bandwidth", "--seconds", "0.05"});
  EXPECT_THAT(faults(report, "good", "no stream"),
              ElementsAre("no stream to full: it cannot listen: Too many open files"));
  ASSERT_EQ(report["pairs"].size(), 1u);
  EXPECT_EQ(report["pairs"][0]["from"], "full");
}

TEST(DsCheck, AHostThatAnswersNonsenseIsTheOnlyOneWithoutAnAnswer) {
  const FakeSsh ssh(R"(odd) answer_to '"facts"' 'Welcome!'; exit;;)");
  const json report = check(ssh, {"good", "odd"}, {"--timeout", "10"});
  EXPECT_THAT(faults(report, "odd", "its answer makes no sense"), ::testing::SizeIs(1));
  EXPECT_TRUE(report["hosts"][0]["answered"]);
}

}  // namespace
}  // namespace deepspeed::hosts
