#include "hosts/name_range.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::hosts {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::string error_of(const std::string& word) {
  try {
    expand_name(word);
  } catch (const ValueError& error) {
    return error.what();
  }
  return "";
}

TEST(NameRange, APlainNameIsItself) {
  EXPECT_THAT(expand_name("me@node-1.lan"), ElementsAre("me@node-1.lan"));
  EXPECT_THAT(expand_name("fe80::1%eth0"), ElementsAre("fe80::1%eth0"));
}

TEST(NameRange, NumbersAndRangesAreHostsInOrder) {
  EXPECT_THAT(expand_name("10.0.0.[3-5,9]"), ElementsAre("10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.9"));
}

TEST(NameRange, AZeroInFrontKeepsTheWidth) {
  EXPECT_THAT(expand_name("n[08-11]"), ElementsAre("n08", "n09", "n10", "n11"));
  EXPECT_THAT(expand_name("n[8-11]"), ElementsAre("n8", "n9", "n10", "n11"));
  EXPECT_THAT(expand_name("n[0-1]"), ElementsAre("n0", "n1"));
}

TEST(NameRange, SeveralBracketsAreEachWithEach) {
  EXPECT_THAT(expand_name("r[1-2]n[1,3]x"), ElementsAre("r1n1x", "r1n3x", "r2n1x", "r2n3x"));
}

TEST(NameRange, TheErrorShowsTheColumn) {
  EXPECT_THAT(error_of(""), HasSubstr("column 1: expected a host's name"));
  EXPECT_THAT(error_of("-oProxyCommand=x"), HasSubstr("column 1: expected a host's name, which does not begin with -"));
  EXPECT_THAT(error_of("n[3"), HasSubstr("column 4: expected ] after the numbers"));
  EXPECT_THAT(error_of("n[a]"), HasSubstr("column 3: expected a number"));
  EXPECT_THAT(error_of("n[5-3]"), HasSubstr("column 5: expected a number that is not below"));
  EXPECT_THAT(error_of("n[1-]"), HasSubstr("column 5: expected a number"));
  EXPECT_THAT(error_of("n]"), HasSubstr("column 2: expected a letter"));
  EXPECT_THAT(error_of("a b"), HasSubstr("column 2"));
  EXPECT_THAT(error_of("n[1234567890]"), HasSubstr("column 3: expected a number of at most 9 digits"));
}

TEST(NameRange, NothingThatAShellTakesForItselfIsAName) {
  for (const char* word : {"$(id)", "a;b", "a`b`", "a|b", "a&b", "a>b", "a'b", "a\"b", "a\\b", "a\nb", "a*"}) {
    EXPECT_THAT(error_of(word), HasSubstr("expected")) << word;
  }
}

TEST(NameRange, ThereIsABound) {
  EXPECT_THAT(expand_name("n[1-4096]"), SizeIs(4096));
  EXPECT_THAT(error_of("n[1-4097]"), HasSubstr("more than 4096 hosts"));
  EXPECT_THAT(error_of("n[0-999999999]"), HasSubstr("more than 4096 hosts"));
  EXPECT_THAT(error_of("a[1-4096]b[1-4096]c[1-4096]"), HasSubstr("more than 4096 hosts"));
}

TEST(NameRange, AHostThatIsNamedTwiceIsOne) {
  EXPECT_THAT(expand_names({"n2", "n[1-3]"}), ElementsAre("n2", "n1", "n3"));
  EXPECT_THROW(expand_names({}), ValueError);
  EXPECT_THROW(expand_names({"a[1-4000]", "b[1-4000]"}), ValueError);
}

}  // namespace
}  // namespace deepspeed::hosts
