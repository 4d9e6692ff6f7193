#include "hosts/meeting_point.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <memory>
#include <thread>
#include <vector>

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

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

core::Descriptor connected_to(int port) {
  core::Descriptor socket(::socket(AF_INET, SOCK_STREAM, 0));
  const sockaddr_in address = loopback(port);
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  return socket;
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
  EXPECT_EQ(meet(request).fault, "connected, but no answer within 0.2 s");
}

TEST(MeetingPoint, NobodyWaitsForWhoSaysNothing) {
  MeetingPoint point({0, kToken});
  constexpr int kSilent = 12;  // each has a second
  std::vector<core::Descriptor> silent;
  for (int i = 0; i < kSilent; ++i) silent.push_back(connected_to(point.port()));
  const Served served(point, kSilent + 1);
  MeetRequest request = request_to(point);
  request.patience_s = 6;
  EXPECT_EQ(meet(request).fault, "");
}

TEST(MeetingPoint, ManyMeetAtOnce) {
  MeetingPoint point({0, kToken});
  std::vector<std::future<Meeting>> meetings;
  const Served served(point, 32);
  for (int i = 0; i < 32; ++i) meetings.push_back(std::async(std::launch::async, meet, request_to(point)));
  for (auto& meeting : meetings) EXPECT_EQ(meeting.get().fault, "");
}

TEST(MeetingPoint, WhoIsStillThereIsHungUpOn) {
  auto point = std::make_unique<MeetingPoint>(ListenRequest{0, kToken});
  const core::Descriptor guest = connected_to(point->port());
  point->serve();
  point.reset();
  char byte = 0;
  EXPECT_LE(::recv(guest.get(), &byte, 1, 0), 0);
}

TEST(MeetingPoint, EachAddressOfANameIsTried) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  ASSERT_EQ(::getaddrinfo("localhost", nullptr, &hints, &found), 0);
  const bool is_at_two = found->ai_next != nullptr;
  ::freeaddrinfo(found);
  if (!is_at_two) GTEST_SKIP() << "localhost has one address here";
  const core::Descriptor listener(::socket(AF_INET, SOCK_STREAM, 0));  // not at ::1, which `localhost` may be first
  sockaddr_in address = loopback(0);
  socklen_t bytes = sizeof(address);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), bytes), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &bytes), 0);
  const Meeting meeting =
      meet({.address = "localhost", .port = ntohs(address.sin_port), .token = kToken, .patience_s = 2});
  EXPECT_EQ(meeting.fault, "connected, but no answer within 2 s");
}

}  // namespace
}  // namespace deepspeed::hosts
