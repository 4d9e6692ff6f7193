#include "launcher/slurm_lists.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::vector<std::string> hosts(const std::string& list) { return expand_node_list(list, "LIST"); }

std::string error_of(const std::string& list) {
  try {
    hosts(list);
  } catch (const ValueError& error) {
    return error.what();
  }
  return "no error";
}

TEST(SlurmLists, PlainNamesStayAsTheyAre) {
  EXPECT_THAT(hosts("node1"), ElementsAre("node1"));
  EXPECT_THAT(hosts("gpu-a.cluster,b_2,007"), ElementsAre("gpu-a.cluster", "b_2", "007"));
}

TEST(SlurmLists, RangesKeepTheDigitsOfTheirFirstNumber) {
  EXPECT_THAT(hosts("node[01-03,7]"), ElementsAre("node01", "node02", "node03", "node7"));
  EXPECT_THAT(hosts("n[9-11]"), ElementsAre("n9", "n10", "n11"));
  EXPECT_THAT(hosts("n[099-101]"), ElementsAre("n099", "n100", "n101"));
}

TEST(SlurmLists, BracketsStandAnywhereAndTheFirstTurnsSlowest) {
  EXPECT_THAT(hosts("gpu-a[1-2]b"), ElementsAre("gpu-a1b", "gpu-a2b"));
  EXPECT_THAT(hosts("r[1-2]n[1,3]x"), ElementsAre("r1n1x", "r1n3x", "r2n1x", "r2n3x"));
  EXPECT_THAT(hosts("a[1-2],b,c[5]"), ElementsAre("a1", "a2", "b", "c5"));
  EXPECT_THAT(hosts("[1-2]"), ElementsAre("1", "2"));
}

TEST(SlurmLists, WhatIsNoListIsAnErrorWithItsColumn) {
  EXPECT_THAT(error_of(""), HasSubstr("LIST, column 1"));
  EXPECT_THAT(error_of("a,,b"), HasSubstr("column 3"));
  EXPECT_THAT(error_of("node[1-"), HasSubstr("column 8"));
  EXPECT_THAT(error_of("node[1"), HasSubstr("expected \"]\""));
  EXPECT_THAT(error_of("node[3-1]"), HasSubstr("not below its begin"));
  EXPECT_THAT(error_of("node[1]]"), HasSubstr("column 8"));
  EXPECT_THAT(error_of("node[[1]]"), HasSubstr("column 6"));
  EXPECT_THAT(error_of("node[1234567890]"), HasSubstr("1 to 9 digits"));
}

TEST(SlurmLists, ANameIsNothingForAShellAndNoFlag) {
  for (const char* list : {"-oProxyCommand=x", "a,-b", "a;b", "$(touch owned)", "a b", "a`b`", "a/b", "a\nb"}) {
    EXPECT_THAT(error_of(list), HasSubstr("column")) << list;
  }
}

TEST(SlurmLists, AListCannotGrowWithoutBound) {
  EXPECT_THAT(hosts("n[1-65536]"), SizeIs(65536));
  EXPECT_THAT(error_of("n[1-65537]"), HasSubstr("65536 hosts"));
  EXPECT_THAT(error_of("n[1-9999][1-9999]"), HasSubstr("65536 hosts"));
  EXPECT_THAT(error_of("n[1-40000],m[1-40000]"), HasSubstr("65536 hosts"));
  EXPECT_THAT(error_of(std::string(256, 'a')), HasSubstr("255 bytes"));
}

TEST(SlurmLists, CountsRepeat) {
  EXPECT_THAT(expand_counts("2(x3),1", "COUNTS"), ElementsAre(2, 2, 2, 1));
  EXPECT_THAT(expand_counts("8", "COUNTS"), ElementsAre(8));
  for (const char* list : {"", "2(x", "2(x3", "(x3)", "2,", "x", "5000", "1(x70000)"}) {
    EXPECT_THROW(expand_counts(list, "COUNTS"), ValueError) << list;
  }
}

}  // namespace
}  // namespace deepspeed::launcher
