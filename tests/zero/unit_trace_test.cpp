#include "zero/unit_trace.h"

#include <gtest/gtest.h>

namespace deepspeed::zero {
namespace {

void pass(UnitTrace& trace, const std::vector<int>& units) {
  trace.begin_pass();
  for (const int unit : units) trace.note(unit);
}

TEST(UnitTrace, ForeseesNothingInTheFirstPass) {
  UnitTrace trace;
  pass(trace, {0, 1});
  EXPECT_EQ(trace.next(2), std::vector<int>{});
  EXPECT_EQ(trace.distance(0), UnitTrace::kNever);
}

TEST(UnitTrace, FollowsTheLastPassWithRepetitionsCountedOnce) {
  UnitTrace trace;
  pass(trace, {0, 0, 1, 2, 2, 1, 0});
  pass(trace, {0, 1});
  EXPECT_EQ(trace.next(1), (std::vector<int>{2}));
  EXPECT_EQ(trace.next(5), (std::vector<int>{2, 1, 0}));
  EXPECT_EQ(trace.distance(2), 0u);
  EXPECT_EQ(trace.distance(0), 2u);
  EXPECT_EQ(trace.distance(7), UnitTrace::kNever);
}

TEST(UnitTrace, FindsItsPlaceAgainAfterASkippedUnitAndGivesUpAfterAnUnknownOne) {
  UnitTrace trace;
  pass(trace, {0, 1, 2, 3});
  pass(trace, {0, 2});
  EXPECT_EQ(trace.next(1), (std::vector<int>{3}));
  trace.note(9);
  EXPECT_EQ(trace.next(1), std::vector<int>{});
  trace.begin_pass();
  trace.note(0);
  EXPECT_EQ(trace.next(1), (std::vector<int>{2})) << "the forecast is the last pass";
}

}  // namespace
}  // namespace deepspeed::zero
