#include "hosts/table.h"

#include <gtest/gtest.h>

namespace deepspeed::hosts {
namespace {

TEST(Table, ColumnsAreAsWideAsTheirWidestCellAndLinesHaveNoBlanksAtTheEnd) {
  EXPECT_EQ(aligned({{"a", "bb", "c"}, {"longer", "", "x"}, {"\u00e9", "y"}}),
            "a       bb  c\n"
            "longer      x\n"
            "\u00e9       y\n");
}

TEST(Table, BytesAndNumbersAreReadable) {
  EXPECT_EQ(bytes_in_words(0), "0 B");
  EXPECT_EQ(bytes_in_words(999), "999 B");
  EXPECT_EQ(bytes_in_words(1500), "1.5 KB");
  EXPECT_EQ(bytes_in_words(999'900), "1 MB");
  EXPECT_EQ(bytes_in_words(2.1e9), "2.1 GB");
  EXPECT_EQ(rounded(0.01234), "0.0123");
  EXPECT_EQ(rounded(12345), "12345");
  EXPECT_EQ(rounded(-1.5), "-1.5");
  EXPECT_EQ(rounded(100), "100");
}

TEST(Table, KindsAreCountedAndKeptOnOneLine) {
  EXPECT_EQ(kinds_in_words({"H100", "T4", "H100"}), "2 x H100, 1 x T4");
  EXPECT_EQ(kinds_in_words({}), "none");
  EXPECT_EQ(on_one_line("a\nb\x1b[2Jc"), "a b [2Jc");
  EXPECT_EQ(counted(1, "host") + counted(2, "host"), "1 host2 hosts");
}

}  // namespace
}  // namespace deepspeed::hosts
