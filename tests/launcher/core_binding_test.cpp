#include "launcher/core_binding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(CoreBinding, ReadsAscendingRanges) {
  EXPECT_THAT(parse_core_list("1,3-5,7"), ElementsAre(1, 3, 4, 5, 7));
  EXPECT_THAT(parse_core_list("0"), ElementsAre(0));
}

class BadCoreList : public ::testing::TestWithParam<const char*> {};

TEST_P(BadCoreList, IsShownInTheError) {
  try {
    parse_core_list(GetParam());
    FAIL() << "expected ValueError";
  } catch (const ValueError& error) {
    EXPECT_THAT(error.what(), HasSubstr("bad range"));
    EXPECT_THAT(error.what(), HasSubstr(GetParam()));
  }
}

INSTANTIATE_TEST_SUITE_P(Lists, BadCoreList,
                         ::testing::Values("", "a", "3-1", "1,1", "2,1", "0-3,2-5", "1,,2", "1,", "-1", "1-", "1-2-3",
                                           "99999999999"));

TEST(CoreBinding, KernelListsMayBeEmptyOrUnreadable) {
  EXPECT_THAT(parse_cpu_list_of_kernel("0-2,8\n"), ElementsAre(0, 1, 2, 8));
  EXPECT_THAT(parse_cpu_list_of_kernel(""), IsEmpty());
  EXPECT_THAT(parse_cpu_list_of_kernel("none"), IsEmpty());
}

TEST(CoreBinding, RanksGetEqualConsecutivePartsAndTheRestStaysUnused) {
  EXPECT_THAT(share_cores({0, 2, 4, 6, 8}, 2), ElementsAre(ElementsAre(0, 2), ElementsAre(4, 6)));
}

TEST(CoreBinding, FewerCoresThanRanksIsAnError) { EXPECT_THROW(share_cores({0, 1}, 3), ValueError); }

}  // namespace
}  // namespace deepspeed::launcher
