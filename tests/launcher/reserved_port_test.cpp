#include "launcher/reserved_port.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <set>
#include <vector>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

core::Descriptor listen_on(int port, bool reuse) {
  core::Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = reuse ? 1 : 0;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return {};
  if (::listen(socket.get(), 1) != 0) return {};
  return socket;
}

TEST(ReservedPort, RankZeroCanListenOnItAsTorchDoes) {
  const ReservedPort reserved;
  EXPECT_TRUE(listen_on(reserved.port(), true));
  EXPECT_FALSE(listen_on(reserved.port(), false)) << "a program that shares nothing must not get the port";
}

TEST(ReservedPort, NoTwoLaunchesGetTheSamePort) {
  std::vector<ReservedPort> reserved;
  std::set<int> ports;
  for (int i = 0; i < 200; ++i) ports.insert(reserved.emplace_back().port());
  EXPECT_EQ(ports.size(), 200u);
}

TEST(ReservedPort, PortWithAListenerIsRefusedByNumber) {
  const int port = ReservedPort().port();
  const auto listener = listen_on(port, true);
  ASSERT_TRUE(listener);
  try {
    const ReservedPort taken(port, "do this");
    FAIL() << "expected ValueError";
  } catch (const ValueError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("port " + std::to_string(port) + " for rank 0: "));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("do this."));
  }
}

}  // namespace
}  // namespace deepspeed::launcher
