#include "launcher/messages.h"

#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

TEST(Messages, OrdersCarryBytesThatAreNoText) {
  StartOrder order{.arguments = {"--x", "\xff\xfe", "$(id)", "", "a\nb"},
                   .folder = "/a b",
                   .environment = {{"NAME", "caf\xe9"}},
                   .hosts = {{"a", {0, 2}}, {"b", {}}},
                   .host_index = 1,
                   .master_addr = "10.0.0.1",
                   .master_port = 29500,
                   .timestamp = "20260101000000"};
  const StartOrder read = decode_order(encode_order(order));
  EXPECT_EQ(read.arguments, order.arguments);
  EXPECT_EQ(read.folder, order.folder);
  EXPECT_EQ(read.environment, order.environment);
  EXPECT_EQ(read.hosts, order.hosts);
  EXPECT_EQ(read.host_index, 1);
  EXPECT_EQ(read.master_addr, "10.0.0.1");
  EXPECT_EQ(read.master_port, 29500);
  EXPECT_EQ(read.timestamp, order.timestamp);
}

TEST(Messages, FailuresKeepAllButTheHostWhichTheLauncherKnows) {
  const Failure failure{.rank = 5,
                        .local_rank = 1,
                        .world_size = 8,
                        .host = "x",
                        .pid = 77,
                        .command = {"train"},
                        .wait_status = 9,
                        .ended_by = "SIGKILL",
                        .lines = {"one", "\xff"},
                        .log_file = "log"};
  const Failure read = decode_failure(encode_failure(failure));
  EXPECT_EQ(describe_failure({read}), [&] {
    Failure expected = failure;
    expected.host.clear();
    return describe_failure(expected);
  }());
  EXPECT_EQ(read.wait_status, 9);
}

TEST(Messages, LinesKeepTheirPlaceAndEnd) {
  const std::string bytes = encode_line({70'000, 1}, {"50%\xff", LineEnd::kReturn});
  const RankLine line = decode_line(bytes);
  EXPECT_EQ(line.source, (LineSource{70'000, 1}));
  EXPECT_EQ(line.end, LineEnd::kReturn);
  EXPECT_EQ(line.text, "50%\xff");
}

TEST(Messages, OtherBytesAreErrors) {
  EXPECT_THROW(decode_hello("nonsense"), ValueError);
  EXPECT_THROW(decode_order(encode_hello({})), ValueError);
  EXPECT_THROW(decode_order(encode_order({.host_index = 0})), ValueError);
  EXPECT_THROW(decode_failure(""), ValueError);
  EXPECT_THROW(decode_line("12345"), ValueError);
  EXPECT_THROW(decode_line(std::string("\xff\0\0\0\0\0", 6)), ValueError);
  EXPECT_THROW(decode_number("7x"), ValueError);
}

}  // namespace
}  // namespace deepspeed::launcher
