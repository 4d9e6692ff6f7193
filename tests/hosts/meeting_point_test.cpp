#include "hosts/meeting_point.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "deepspeed/error.h"

namespace deepspeed::hosts {
namespace {

using ::testing::HasSubstr;

const std::string kToken(kTokenBytes, 'a');

// Serves so many connections on a thread of its own.
class Served {
 public:
  Served(MeetingPoint& point, int count) {
    thread_ = std::thread([&point, count] {
      for (int i = 0; i < count; ++i) {
        pollfd entry{point.fd(), POLLIN, 0};
        ::poll(&entry, 1, 5000);
        point.serve();
      }
    });
  }
  ~Served() { thread_.join(); }

 private:
  std::thread thread_;
};

MeetRequest request_to(const MeetingPoint& point) {
  return {.address = "127.0.0.1", .port = point.port(), .token = kToken, .patience_s = 5};
}

TEST(MeetingPoint, WhoHasTheTokenMeetsAndIsTimed) {
  MeetingPoint point({0, kToken});
  const Served served(point, 1);
  const Meeting meeting = meet(request_to(point));
  EXPECT_EQ(meeting.fault, "");
  EXPECT_GT(meeting.round_trip_s, 0);
  EXPECT_EQ(meeting.bytes_per_s, 0);
}

TEST(MeetingPoint, AStreamIsMeasured) {
  MeetingPoint point({0, kToken});
  const Served served(point, 1);
  MeetRequest request = request_to(point);
  request.stream_s = 0.1;
  const Meeting meeting = meet(request);
  EXPECT_EQ(meeting.fault, "");
  EXPECT_GT(meeting.bytes_per_s, 1e6);
}

TEST(MeetingPoint, AnotherTokenMeetsNobodyAndDoesNotDisturbTheNext) {
  MeetingPoint point({0, kToken});
  const Served served(point, 2);
  MeetRequest stranger = request_to(point);
  stranger.token = std::string(kTokenBytes, 'b');
  EXPECT_THAT(meet(stranger).fault, HasSubstr("somebody else answers"));
  EXPECT_EQ(meet(request_to(point)).fault, "");
}

TEST(MeetingPoint, IPv6IsServedToo) {
  MeetingPoint point({0, kToken});
  MeetRequest request = request_to(point);
  request.address = "::1";
  const core::Descriptor probe(::socket(AF_INET6, SOCK_STREAM, 0));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  if (!probe || ::bind(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    GTEST_SKIP() << "this machine has no IPv6";
  }
  const Served served(point, 1);
  EXPECT_EQ(meet(request).fault, "");
}

TEST(MeetingPoint, APortThatIsTakenIsAnErrorInTheSystemsWords) {
  const MeetingPoint point({0, kToken});
  try {
    const MeetingPoint second({point.port(), kToken});
    FAIL() << "two listen on port " << point.port();
  } catch (const ValueError& error) {
    EXPECT_STREQ(error.what(), "Address already in use");
  }
}

TEST(MeetingPoint, WhereNobodyListensTheFaultSaysSo) {
  int port = 0;
  {
    const MeetingPoint point({0, kToken});
    port = point.port();
  }
  const Meeting meeting = meet({.address = "127.0.0.1", .port = port, .token = kToken, .patience_s = 5});
  EXPECT_EQ(meeting.fault, "Connection refused");
}

TEST(MeetingPoint, WhoIsSilentIsNotWaitedForWithoutEnd) {
  MeetingPoint point({0, kToken});  // its backlog takes the connection, but nobody serves it
  MeetRequest request = request_to(point);
  request.patience_s = 0.2;
  EXPECT_THAT(meet(request).fault, HasSubstr("somebody else answers"));
}

}  // namespace
}  // namespace deepspeed::hosts
