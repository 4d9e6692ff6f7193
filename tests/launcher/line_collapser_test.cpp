#include "launcher/line_collapser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace deepspeed::launcher {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LineCollapserTest : public ::testing::Test {
 protected:
  void say(int rank, const std::string& text, int channel = 0) { collapser.add({rank, channel}, text, now); }
  void pass(milliseconds time) {
    now += time;
    collapser.release_due(now);
  }

  std::vector<std::string> shown;
  LineCollapser collapser{3, [this](const std::vector<int>& ranks, int, std::string_view text) {
                            std::string line;
                            for (const int rank : ranks) line += std::to_string(rank);
                            shown.push_back(line + " " + std::string(text));
                          }};
  LineCollapser::Clock::time_point now;
};

TEST_F(LineCollapserTest, ALineOfAllRanksIsOneAtOnce) {
  say(2, "step 1");
  say(0, "step 1");
  EXPECT_THAT(shown, IsEmpty());
  say(1, "step 1");
  EXPECT_THAT(shown, ElementsAre("012 step 1"));
  EXPECT_FALSE(collapser.due_at());
}

TEST_F(LineCollapserTest, ALineOfSomeRanksWaitsForTheWindow) {
  say(1, "only here");
  say(2, "only here");
  EXPECT_EQ(*collapser.due_at() - now, LineCollapser::kWindow);
  pass(LineCollapser::kWindow - milliseconds(1));
  EXPECT_THAT(shown, IsEmpty());
  pass(milliseconds(1));
  EXPECT_THAT(shown, ElementsAre("12 only here"));
}

TEST_F(LineCollapserTest, EachRanksLinesKeepTheirOrder) {
  say(0, "a");
  say(0, "b");
  say(1, "b");
  say(1, "a");
  collapser.release_all();
  EXPECT_THAT(shown, ElementsAre("0 a", "01 b", "1 a"));
}

TEST_F(LineCollapserTest, ALineThatARankSaysTwiceIsTwoLines) {
  say(0, "tick");
  say(0, "tick");
  say(1, "tick");
  say(1, "tick");
  collapser.release_all();
  EXPECT_THAT(shown, ElementsAre("01 tick", "01 tick"));
}

TEST_F(LineCollapserTest, StandardErrorIsAnotherLine) {
  say(0, "x", 0);
  say(1, "x", 1);
  collapser.release_all();
  EXPECT_THAT(shown, ElementsAre("0 x", "1 x"));
}

TEST_F(LineCollapserTest, ALateRankDoesNotJoinWhatIsShown) {
  say(0, "a");
  say(1, "a");
  pass(LineCollapser::kWindow);
  say(2, "a");
  pass(LineCollapser::kWindow);
  EXPECT_THAT(shown, ElementsAre("01 a", "2 a"));
}

TEST_F(LineCollapserTest, NoMoreThanABoundedNumberIsKeptBack) {
  for (size_t i = 0; i <= LineCollapser::kMostLines; ++i) say(0, std::to_string(i));
  EXPECT_THAT(shown, ElementsAre("0 0"));
}

}  // namespace
}  // namespace deepspeed::launcher
