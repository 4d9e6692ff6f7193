#include "hosts/ds_ssh.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hosts/fan_out.h"

namespace deepspeed::hosts {
namespace {

using ::testing::ElementsAreArray;

TEST(DsSsh, OneWordIsATextForTheShellThere) { EXPECT_EQ(remote_text({"ls | head"}), "ls | head"); }

TEST(DsSsh, SeveralWordsArriveAsTheyWereGiven) {
  const std::vector<std::string> words = {"a  b", "'", "$(exit 3)", "`id`", "*", "", "\\", "\"", "#", "~", "-n", "!x"};
  std::vector<std::string> command = {"printf", "<%s>\\n"};
  command.insert(command.end(), words.begin(), words.end());
  std::vector<std::string> expected;
  for (const std::string& word : words) expected.push_back("<" + word + ">");
  const auto results = run_jobs({{{"/bin/sh", "-c", remote_text(command)}}}, {});
  EXPECT_THAT(results[0].lines, ElementsAreArray(expected));
}

}  // namespace
}  // namespace deepspeed::hosts
