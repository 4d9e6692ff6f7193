#include "launcher/master_address.h"

#include <gtest/gtest.h>

namespace deepspeed::launcher {
namespace {

Hello reached(const std::string& server, const std::string& client, std::vector<std::string> addresses) {
  return {.addresses = std::move(addresses), .caller_address = client, .called_address = server};
}

TEST(MasterAddress, IsTheOneUnderWhichSshReachedTheFirstHost) {
  EXPECT_EQ(choose_master_address({reached("10.0.0.1", "10.0.0.9", {"192.168.0.1", "10.0.0.1"}),
                                   reached("10.0.0.2", "10.0.0.9", {"10.0.0.2"})}),
            "10.0.0.1");
}

TEST(MasterAddress, OnTheFirstHostItselfIsTheOneThatAnotherHostSees) {
  EXPECT_EQ(choose_master_address({reached("127.0.1.1", "127.0.0.1", {"192.168.0.1", "10.0.0.1"}),
                                   reached("10.0.0.2", "10.0.0.1", {"10.0.0.2"})}),
            "10.0.0.1");
}

TEST(MasterAddress, BehindAGatewayIsTheFirstInterface) {
  EXPECT_EQ(choose_master_address(
                {reached("127.0.0.1", "127.0.0.1", {"192.168.0.1"}), reached("10.0.0.2", "10.0.0.254", {"10.0.0.2"})}),
            "192.168.0.1");
}

TEST(MasterAddress, WithoutSshIsLoopback) {
  EXPECT_EQ(choose_master_address({{.addresses = {"10.0.0.1"}}, {.addresses = {"10.0.0.1"}}}), "127.0.0.1");
}

TEST(MasterAddress, LoopbackAddressesAreKnown) {
  EXPECT_TRUE(is_loopback("127.0.0.1") && is_loopback("127.0.1.1") && is_loopback("::1"));
  EXPECT_FALSE(is_loopback("10.127.0.1") || is_loopback(""));
  EXPECT_EQ(interface_towards("127.0.0.1"), "");
}

}  // namespace
}  // namespace deepspeed::launcher
