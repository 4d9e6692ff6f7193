#include "hosts/probe_messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::hosts {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kToken(kTokenBytes, 'a');

TEST(ProbeMessages, RequestsAreOneLineAndComeBackAsTheyWere) {
  const std::vector<ProbeRequest> requests = {
      FactsRequest{}, ClockRequest{}, ListenRequest{29500, kToken},
      MeetRequest{.address = "fe80::1%eth0\n", .port = 1, .token = kToken, .patience_s = 1.5, .stream_s = 0.25}};
  for (const ProbeRequest& request : requests) {
    const std::string line = encode_request(request);
    EXPECT_THAT(line, Not(HasSubstr("\n")));
    EXPECT_EQ(decode_request(line), request);
  }
}

TEST(ProbeMessages, AnswersComeBackAsTheyWere) {
  EXPECT_DOUBLE_EQ(decode_clock(encode_clock(1795000000.123456)), 1795000000.123456);
  const Listening listening{.port = 29500, .fault = "Address already in use"};
  EXPECT_EQ(decode_listening(encode_listening(listening)), listening);
  const Meeting meeting{.fault = "", .interface = "eth0", .round_trip_s = 1.25e-4, .bytes_per_s = 1.25e8};
  EXPECT_EQ(decode_meeting(encode_meeting(meeting)), meeting);
}

TEST(ProbeMessages, WhatIsNoRequestIsAnError) {
  for (const char* line : {"", "{}", "[]", "null", R"({"ask": 1})", R"({"ask": "rm"})", R"({"ask": "listen"})",
                           R"({"ask": "listen", "port": 65536, "token": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})",
                           R"({"ask": "listen", "port": 1, "token": "short"})"}) {
    EXPECT_THROW(decode_request(line), ValueError) << line;
  }
  EXPECT_THROW(decode_clock("{}"), ValueError);
  EXPECT_THROW(decode_listening("{}"), ValueError);
  EXPECT_THROW(decode_meeting("{}"), ValueError);
}

TEST(ProbeMessages, NoWaitIsWithoutEnd) {
  EXPECT_THROW(decode_request(encode_request(MeetRequest{.token = kToken, .patience_s = 1e9})), ValueError);
  EXPECT_THROW(decode_request(encode_request(MeetRequest{.token = kToken, .stream_s = -1})), ValueError);
}

}  // namespace
}  // namespace deepspeed::hosts
