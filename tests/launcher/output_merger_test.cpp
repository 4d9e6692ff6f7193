#include "launcher/output_merger.h"

#include <gtest/gtest.h>

namespace deepspeed::launcher {
namespace {

class OutputMergerTest : public ::testing::Test {
 protected:
  OutputMerger make(OutputMerger::Options options) {
    return OutputMerger(options, [this](std::string_view bytes) { output_ += bytes; });
  }
  // What was written since the last call; the sequence that clears a line is spelt <erase>.
  std::string taken() {
    std::string text = std::exchange(output_, "");
    for (size_t at; (at = text.find("\r\x1b[K")) != std::string::npos;) text.replace(at, 4, "<erase>");
    return text;
  }
  std::string output_;
};

TEST_F(OutputMergerTest, EveryLineCarriesItsRank) {
  auto merger = make({});
  merger.write({1}, {"hello", LineEnd::kNewline});
  merger.write({0}, {"", LineEnd::kNewline});
  EXPECT_EQ(taken(), "[rank 1] hello\n[rank 0] \n");
}

TEST_F(OutputMergerTest, OnSeveralHostsEveryLineCarriesItsHostToo) {
  auto merger = make({.host_of_rank = {"a", "10.0.0.2"}});
  merger.write({1}, {"hello", LineEnd::kNewline});
  EXPECT_EQ(taken(), "[10.0.0.2:1] hello\n");
}

TEST_F(OutputMergerTest, InAFileABarKeepsItsReturnsAndOthersStartOnANewLine) {
  auto merger = make({});
  merger.write({0}, {"1%", LineEnd::kReturn});
  merger.write({0}, {"2%", LineEnd::kReturn});
  merger.write({1}, {"hello", LineEnd::kNewline});
  EXPECT_EQ(taken(), "[rank 0] 1%\r[rank 0] 2%\r\n[rank 1] hello\n");
}

TEST_F(OutputMergerTest, InAFileTheOtherOutputOfTheSameRankStartsOnANewLineToo) {
  auto merger = make({});
  merger.write({0, 1}, {"1%", LineEnd::kReturn});
  merger.write({0, 0}, {"hello", LineEnd::kNewline});
  EXPECT_EQ(taken(), "[rank 0] 1%\r\n[rank 0] hello\n");
}

TEST_F(OutputMergerTest, InAFilePiecesOfOneLineStayTogetherUnlessAnotherRankComesBetween) {
  auto merger = make({});
  merger.write({0}, {"long ", LineEnd::kNone});
  merger.write({0}, {"line", LineEnd::kNewline});
  EXPECT_EQ(taken(), "[rank 0] long line\n");
  merger.write({0}, {"long ", LineEnd::kNone});
  merger.write({1}, {"hello", LineEnd::kNewline});
  merger.write({0}, {"line", LineEnd::kNewline});
  EXPECT_EQ(taken(), "[rank 0] long \n[rank 1] hello\n[rank 0] line\n");
}

TEST_F(OutputMergerTest, InAFileBegunLinesAreNotShown) {
  auto merger = make({});
  merger.show_begun({0}, "half");
  EXPECT_EQ(taken(), "");
}

TEST_F(OutputMergerTest, FinishEndsOpenText) {
  auto merger = make({});
  merger.write({0}, {"no newline", LineEnd::kNone});
  merger.finish();
  merger.finish();
  EXPECT_EQ(taken(), "[rank 0] no newline\n");
}

TEST_F(OutputMergerTest, OnATerminalTheLiveBarIsDrawnAtOnceAndInPlace) {
  auto merger = make({.is_terminal = true});
  merger.show_begun({0}, "1%");
  EXPECT_EQ(taken(), "[rank 0] 1%");
  merger.write({0}, {"1%", LineEnd::kReturn});
  merger.show_begun({0}, "2%");
  EXPECT_EQ(taken(), "<erase>[rank 0] 2%");
  merger.write({0}, {"2%, done", LineEnd::kNewline});
  EXPECT_EQ(taken(), "<erase>[rank 0] 2%, done\n");
}

TEST_F(OutputMergerTest, OnATerminalABegunLineGrowsWithoutBeingDrawnAgain) {
  auto merger = make({.is_terminal = true});
  merger.show_begun({0}, "load");
  taken();
  merger.show_begun({0}, "loading");
  EXPECT_EQ(taken(), "ing");
}

TEST_F(OutputMergerTest, OnATerminalTheBarStaysBelowLinesOfOtherRanks) {
  auto merger = make({.is_terminal = true});
  merger.show_begun({0}, "1%");
  taken();
  merger.write({1}, {"hello", LineEnd::kNewline});
  EXPECT_EQ(taken(), "<erase>[rank 1] hello\n[rank 0] 1%");
  merger.show_begun({0}, "2%");
  EXPECT_EQ(taken(), "<erase>[rank 0] 2%");
}

TEST_F(OutputMergerTest, OnATerminalBarsOfOtherRanksShowTheirEndOnly) {
  auto merger = make({.is_terminal = true});
  merger.write({1}, {"1%", LineEnd::kReturn});
  merger.write({1}, {"100%", LineEnd::kNewline});
  EXPECT_EQ(taken(), "[rank 1] 100%\n");
}

TEST_F(OutputMergerTest, OnATerminalALongLineOfAnotherRankIsNotErased) {
  auto merger = make({.is_terminal = true});
  merger.write({1}, {"long ", LineEnd::kNone});
  merger.show_begun({0}, "1%");
  merger.write({1}, {"line", LineEnd::kNewline});
  EXPECT_EQ(taken(), "[rank 1] long line\n");
}

TEST_F(OutputMergerTest, ColourIsRoundThePrefixOnly) {
  auto merger = make({.is_terminal = true, .with_colour = true});
  merger.write({1}, {"hello", LineEnd::kNewline});
  EXPECT_EQ(taken(), "\x1b[33m[rank 1] \x1b[0mhello\n");
}

TEST(OutputMergerPrefix, NamesAllRanksOfASharedLineInShort) {
  const auto ignore = [](std::string_view) {};
  const OutputMerger here({}, ignore);
  EXPECT_EQ(here.prefix(std::vector<int>{3}), "[rank 3] ");
  EXPECT_EQ(here.prefix(std::vector<int>{0, 1, 2, 5}), "[ranks 0-2,5] ");
  const OutputMerger several({.host_of_rank = {"a", "a", "b", "b"}}, ignore);
  EXPECT_EQ(several.prefix(std::vector<int>{0, 1, 2, 3}), "[a:0-1 b:2-3] ");
  EXPECT_EQ(several.prefix(std::vector<int>{1, 2}), "[a:1 b:2] ");
  EXPECT_EQ(several.prefix(std::vector<int>{2}), "[b:2] ");
}

}  // namespace
}  // namespace deepspeed::launcher
