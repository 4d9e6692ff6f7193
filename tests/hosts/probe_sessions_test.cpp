#include "hosts/probe_sessions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hosts/host_facts.h"
#include "hosts/probe_messages.h"

namespace deepspeed::hosts {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Local processes in place of ssh: the sessions see no difference.
ProbeTarget target(const std::string& name, const std::string& shell_text) {
  return {name, {"/bin/sh", "-c", shell_text}};
}

const std::string kProbe = std::string("exec '") + DS_CHECK_PROGRAM + "' --host_probe";

ProbeSessions::Clock::time_point in_ms(int milliseconds) {
  return ProbeSessions::Clock::now() + std::chrono::milliseconds(milliseconds);
}

TEST(ProbeSessions, TheProbeAnswersInOrder) {
  ProbeSessions sessions({target("a", "echo Welcome; " + kProbe), target("b", kProbe)}, DS_VERSION);
  const auto answers =
      sessions.ask({{encode_request(ClockRequest{}), encode_request(FactsRequest{})}, {encode_request(ClockRequest{})}},
                   in_ms(20'000));
  EXPECT_FALSE(sessions.failure(0)) << sessions.failure(0)->what;
  ASSERT_THAT(answers[0], SizeIs(2));
  ASSERT_THAT(answers[1], SizeIs(1));
  const ProbeAnswer& clock = answers[0][0];
  EXPECT_GE(decode_clock(clock.line), clock.sent_unix_s - 0.001);
  EXPECT_LE(decode_clock(clock.line), clock.received_unix_s + 0.001);
  const HostFacts facts = decode_facts(answers[0][1].line);
  EXPECT_EQ(facts.version, DS_VERSION);
  EXPECT_GT(facts.memory_bytes, 0);
}

TEST(ProbeSessions, TwoProbesMeet) {
  const std::string token(kTokenBytes, 'c');
  ProbeSessions sessions({target("a", kProbe), target("b", kProbe)}, DS_VERSION);
  const auto opened = sessions.ask({{encode_request(ListenRequest{0, token})}, {}}, in_ms(20'000));
  const int port = decode_listening(opened[0].at(0).line).port;
  const auto met = sessions.ask(
      {{}, {encode_request(MeetRequest{.address = "127.0.0.1", .port = port, .token = token, .patience_s = 5})}},
      in_ms(20'000));
  EXPECT_EQ(decode_meeting(met[1].at(0).line).fault, "");
}

TEST(ProbeSessions, EachFailureHasItsReasonAndTheOthersGoOn) {
  ProbeSessions sessions(
      {target("no_program", "exit 127"), target("no_key", "echo 'Permission denied (publickey).' >&2; exit 255"),
       target("old", "echo 'deepspeed host probe, protocol 1, version 0.0.1'; exec sleep 1000"),
       target("silent", "exec sleep 1000"), target("good", kProbe)},
      DS_VERSION);
  const std::vector<std::vector<std::string>> requests(5, {encode_request(ClockRequest{})});
  const auto answers = sessions.ask(requests, in_ms(2000));
  EXPECT_EQ(sessions.failure(0)->kind, NoAnswerKind::kProgramNotFound);
  EXPECT_EQ(sessions.failure(1)->kind, NoAnswerKind::kNeedsPassword);
  EXPECT_EQ(sessions.failure(2)->kind, NoAnswerKind::kOtherVersion);
  EXPECT_THAT(sessions.failure(2)->what, HasSubstr("version 0.0.1"));
  EXPECT_EQ(sessions.failure(3)->kind, NoAnswerKind::kTimedOut);
  EXPECT_FALSE(sessions.failure(4));
  EXPECT_THAT(answers[4], SizeIs(1));
  EXPECT_THAT(answers[0], IsEmpty());
}

TEST(ProbeSessions, AProbeThatGreetedAndIsSlowIsNotCalledDown) {
  ProbeSessions sessions(
      {target("a", std::string("echo '") + std::string(kProbePreamble) + DS_VERSION + "'; exec cat > /dev/null")},
      DS_VERSION);
  sessions.ask({{}}, in_ms(20'000));
  sessions.ask({{encode_request(FactsRequest{})}}, in_ms(200));
  ASSERT_TRUE(sessions.failure(0));
  EXPECT_EQ(sessions.failure(0)->kind, NoAnswerKind::kOther);
  EXPECT_THAT(sessions.failure(0)->what, HasSubstr("ssh works, but the probe there did not answer within 0."));
}

TEST(ProbeSessions, AProbeThatDiesLaterFails) {
  ProbeSessions sessions(
      {target("a", std::string("echo '") + std::string(kProbePreamble) + DS_VERSION + "'; read line; exit 3")},
      DS_VERSION);
  sessions.ask({{encode_request(ClockRequest{})}}, in_ms(20'000));
  ASSERT_TRUE(sessions.failure(0));
  EXPECT_THAT(sessions.failure(0)->what, HasSubstr("exit code 3"));
}

}  // namespace
}  // namespace deepspeed::hosts
