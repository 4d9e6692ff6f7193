#include "launcher/hostfile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class Function>
std::string error_of(Function&& function) {
  try {
    function();
  } catch (const ValueError& error) {
    return error.what();
  }
  return "no error";
}

std::vector<Host> pool() { return parse_hostfile("a slots=4\nb slots=2\n", "hosts"); }
std::vector<Host> included(const std::string& text) { return select_hosts(pool(), {text, "--include", false}); }
std::vector<Host> excluded(const std::string& text) { return select_hosts(pool(), {text, "--exclude", true}); }

TEST(Hostfile, ReadsHostsInOrderAndSkipsCommentsAndBlankLines) {
  const auto hosts =
      parse_hostfile("# two machines\n\n  node-1.example slots=2\r\n\t10.0.0.2   slots=1 # note\n", "hosts");
  EXPECT_THAT(hosts, ElementsAre(Host{"node-1.example", {0, 1}}, Host{"10.0.0.2", {0}}));
}

TEST(Hostfile, BadLineIsShownWithItsNumber) {
  const auto error = error_of([] { parse_hostfile("a slots=2\nb gpus=2\n", "my_hosts"); });
  EXPECT_THAT(error, HasSubstr("my_hosts line 2"));
  EXPECT_THAT(error, HasSubstr("b gpus=2"));
  EXPECT_THAT(error_of([] { parse_hostfile("a slots=-1", "f"); }), HasSubstr("a slots=-1"));
  EXPECT_THAT(error_of([] { parse_hostfile("lonely", "f"); }), HasSubstr("lonely"));
  EXPECT_THAT(error_of([] { parse_hostfile("a slots=99999999999", "f"); }), HasSubstr("slots=99999999999"));
}

TEST(Hostfile, ErrorsNameLineAndColumn) {
  const std::pair<const char*, const char*> cases[] = {
      {"a slots=2\n  b gpus=2\n", "f line 2, column 5: "}, {"a slots=x\n", "f line 1, column 9: "},
      {"\n\na  slots=2x\n", "f line 3, column 11: "},      {"lonely\n", "f line 1, column 7: "},
      {"a;reboot slots=1\n", "f line 1, column 2: "},      {"-oProxyCommand=x slots=1\n", "f line 1, column 15: "},
      {" -ovisual slots=1\n", "f line 1, column 2: "},     {"$(id) slots=1\n", "f line 1, column 1: "},
      {"a slots=1\na slots=1\n", "f line 2, column 1: "},  {"a slots=\n", "f line 1, column 9: "},
  };
  for (const auto& [text, where] : cases) {
    EXPECT_THAT(error_of([&] { parse_hostfile(text, "f"); }), HasSubstr(where)) << text;
  }
}

TEST(Hostfile, AddressesAndUsersAreHosts) {
  EXPECT_EQ(parse_hostfile("me@node-1.lan slots=1 # mine\n10.0.0.1 slots=2#two\nfd00::1 slots=1\n", "f").size(), 3u);
}

TEST(Hostfile, HostNamedTwiceAndNoHostAreErrors) {
  EXPECT_THAT(error_of([] { parse_hostfile("a slots=2\na slots=1\n", "f"); }), HasSubstr("\"a\" stands there twice"));
  EXPECT_THAT(error_of([] { parse_hostfile("# nothing\n", "f"); }), HasSubstr("names no host"));
}

TEST(HostFilter, IncludeKeepsTheNamedSlotsInThePoolsOrder) {
  EXPECT_THAT(included("b@a:3,1,1"), ElementsAre(Host{"a", {1, 3}}, Host{"b", {0, 1}}));
  EXPECT_EQ(included(""), pool());
}

TEST(HostFilter, ExcludeDropsSlotsAndHostsWithoutAnyLeft) {
  EXPECT_THAT(excluded("a:0,2"), ElementsAre(Host{"a", {1, 3}}, Host{"b", {0, 1}}));
  EXPECT_THAT(excluded("a@b:1"), ElementsAre(Host{"b", {0}}));
}

TEST(HostFilter, HostsOfThePoolWithUsersAndColonsAreKnownAsAWhole) {
  const std::vector<Host> pool = {{"me@node1", {0, 1}}, {"me@node10", {0}}, {"fe80::1", {0, 1}}, {"node2", {0, 1}}};
  EXPECT_EQ(select_hosts(pool, {"me@node1:1@node2@fe80::1:0", "--include", false}),
            (std::vector<Host>{{"me@node1", {1}}, {"fe80::1", {0}}, {"node2", {0, 1}}}));
  EXPECT_EQ(select_hosts(pool, {"me@node10", "--include", false}), (std::vector<Host>{{"me@node10", {0}}}));
}

TEST(HostFilter, AddressesHaveNoUser) {
  EXPECT_EQ(address_of("me@node1"), "node1");
  EXPECT_EQ(address_of("node1"), "node1");
}

TEST(HostFilter, UnknownHostOrSlotIsNamed) {
  EXPECT_THAT(error_of([] { included("c:0"); }), HasSubstr("--include: no host \"c\"; the hosts are: a, b"));
  EXPECT_THAT(error_of([] { excluded("b:2"); }), HasSubstr("--exclude: no slot 2 on host \"b\"; it has 0,1"));
}

TEST(HostFilter, BadSyntaxAndNothingLeftAreErrors) {
  EXPECT_THAT(error_of([] { included("a:x"); }), HasSubstr("slot \"x\" of host \"a\""));
  EXPECT_THAT(error_of([] { included("a:"); }), HasSubstr("slot \"\" of host \"a\""));
  EXPECT_THAT(error_of([] { included("a:1:2"); }), HasSubstr("slot \"1:2\""));
  EXPECT_THAT(error_of([] { included(":0"); }), HasSubstr("expected HOST"));
  EXPECT_THAT(error_of([] { included("a@a:1"); }), HasSubstr("twice"));
  EXPECT_THAT(error_of([] { excluded("a@b"); }), HasSubstr("leaves no slot"));
}

}  // namespace
}  // namespace deepspeed::launcher
