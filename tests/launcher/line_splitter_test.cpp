#include "launcher/line_splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace deepspeed::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Lines as text with their end spelt out.
class LineSplitterTest : public ::testing::Test {
 protected:
  std::vector<std::string> feed(std::string_view bytes) {
    std::vector<std::string> lines;
    splitter_.feed(bytes, [&](const Line& line) { lines.push_back(spelt(line)); });
    return lines;
  }
  std::vector<std::string> finish() {
    std::vector<std::string> lines;
    splitter_.finish([&](const Line& line) { lines.push_back(spelt(line)); });
    return lines;
  }
  static std::string spelt(const Line& line) {
    const char* end = line.end == LineEnd::kNewline ? "<n>" : line.end == LineEnd::kReturn ? "<r>" : "";
    return std::string(line.text) + end;
  }
  LineSplitter splitter_;
};

TEST_F(LineSplitterTest, GivesWholeLinesHoweverTheBytesArrive) {
  EXPECT_THAT(feed("one\ntw"), ElementsAre("one<n>"));
  EXPECT_EQ(splitter_.begun(), "tw");
  EXPECT_THAT(feed("o\n\n"), ElementsAre("two<n>", "<n>"));
  EXPECT_THAT(finish(), IsEmpty());
}

TEST_F(LineSplitterTest, ReturnAndNewlineTogetherAreOneEndEvenWhenTheyArriveApart) {
  EXPECT_THAT(feed("a\r\nb\r"), ElementsAre("a<n>"));
  EXPECT_EQ(splitter_.begun(), "b");
  EXPECT_THAT(feed("\nc\n"), ElementsAre("b<n>", "c<n>"));
}

TEST_F(LineSplitterTest, ProgressBarComesUpdateByUpdate) {
  EXPECT_THAT(feed("\r 1%"), IsEmpty());
  EXPECT_THAT(feed("\r 2%"), ElementsAre(" 1%<r>"));
  EXPECT_THAT(feed("\r 3%\n"), ElementsAre(" 2%<r>", " 3%<n>"));
}

TEST_F(LineSplitterTest, EndOfStreamGivesTheRest) {
  feed("rest");
  EXPECT_THAT(finish(), ElementsAre("rest"));
  feed("bar\r");
  EXPECT_THAT(finish(), ElementsAre("bar<r>"));
  EXPECT_THAT(finish(), IsEmpty());
}

TEST_F(LineSplitterTest, LongLineComesInBoundedPieces) {
  const std::string text(2 * LineSplitter::kLongestLineBytes + 5, 'x');
  const auto pieces = feed(text);
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[0].size(), LineSplitter::kLongestLineBytes);
  EXPECT_THAT(feed("\n"), ElementsAre("xxxxx<n>"));
}

TEST_F(LineSplitterTest, PiecesNeverCutACharacter) {
  std::string text(LineSplitter::kLongestLineBytes - 1, 'x');
  text += "\xE2\x96\x88 and more";  // a block, as bars use it
  const auto pieces = feed(text);
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].size(), LineSplitter::kLongestLineBytes - 1);
  EXPECT_EQ(splitter_.begun(), "\xE2\x96\x88 and more");
}

TEST_F(LineSplitterTest, BytesThatAreNoTextAreBoundedAsWell) {
  const auto pieces = feed(std::string(LineSplitter::kLongestLineBytes + 10, '\x80'));
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].size(), LineSplitter::kLongestLineBytes);
}

}  // namespace
}  // namespace deepspeed::launcher
