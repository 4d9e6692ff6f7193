#include "hosts/no_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace deepspeed::hosts {
namespace {

using ::testing::HasSubstr;

NoAnswer failed(std::vector<std::string> lines) {
  return explain_no_answer({.host = "node1", .exit_code = 255, .error_lines = std::move(lines), .program = "ds_check"});
}

TEST(NoAnswer, EachFailureOfSshHasAKind) {
  const std::vector<std::pair<std::string, NoAnswerKind>> cases = {
      {"Host key verification failed.", NoAnswerKind::kUnknownHostKey},
      {"No ED25519 host key is known for node1 and you have requested strict checking.", NoAnswerKind::kUnknownHostKey},
      {"me@node1: Permission denied (publickey,password).", NoAnswerKind::kNeedsPassword},
      {"ssh: connect to host node1 port 22: Connection refused", NoAnswerKind::kRefused},
      {"ssh: connect to host node1 port 22: Connection timed out", NoAnswerKind::kTimedOut},
      {"Connection timed out during banner exchange", NoAnswerKind::kTimedOut},
      {"Timeout, server node1 not responding.", NoAnswerKind::kTimedOut},
      {"ssh: connect to host node1 port 22: No route to host", NoAnswerKind::kNoRoute},
      {"ssh: connect to host node1 port 22: Network is unreachable", NoAnswerKind::kNoRoute},
      {"ssh: Could not resolve hostname node1: Name or service not known", NoAnswerKind::kUnknownName},
      {"kex_exchange_identification: Connection closed by remote host", NoAnswerKind::kClosed},
      {"Bad configuration option: x", NoAnswerKind::kOther}};
  for (const auto& [line, kind] : cases) EXPECT_EQ(failed({line}).kind, kind) << line;
}

TEST(NoAnswer, AChangedKeyIsNotAnUnknownOne) {
  const NoAnswer answer = failed({"@@@@@@@@@@@@@", "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @",
                                  "Host key verification failed."});
  EXPECT_EQ(answer.kind, NoAnswerKind::kChangedHostKey);
  EXPECT_THAT(answer.remedy, HasSubstr("ssh-keygen -R node1"));
}

TEST(NoAnswer, TheRemedyForAPasswordNamesTheHost) {
  EXPECT_THAT(failed({"Permission denied (publickey)."}).remedy, HasSubstr("ssh-copy-id node1"));
}

TEST(NoAnswer, AProgramThatIsNotThereIsNotAFailureOfSsh) {
  EXPECT_EQ(explain_no_answer({.host = "n", .exit_code = 127, .program = "ds_check"}).kind,
            NoAnswerKind::kProgramNotFound);
  EXPECT_EQ(explain_no_answer({.host = "n", .exit_code = 127}).kind, NoAnswerKind::kOther);
}

TEST(NoAnswer, ADeadlineSaysHowLong) {
  const NoAnswer answer = explain_no_answer({.host = "n", .exit_code = -1, .timed_out = true, .patience_s = 6});
  EXPECT_EQ(answer.kind, NoAnswerKind::kTimedOut);
  EXPECT_THAT(answer.what, HasSubstr("nothing came within 6 s"));
}

TEST(NoAnswer, NonsenseIsQuotedWithoutItsFullStop) {
  EXPECT_EQ(senseless_answer("not the facts of a host.").what, "its answer makes no sense: not the facts of a host");
}

TEST(NoAnswer, OtherVersionsAreBothNamed) {
  EXPECT_THAT(other_version("0.0.9", "0.1.0").what, HasSubstr("version 0.0.9, here it is 0.1.0"));
}

TEST(NoAnswer, KindsHaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (int kind = 0; kind <= static_cast<int>(NoAnswerKind::kOther); ++kind) {
    names.insert(name_of(static_cast<NoAnswerKind>(kind)));
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(NoAnswerKind::kOther) + 1);
}

}  // namespace
}  // namespace deepspeed::hosts
