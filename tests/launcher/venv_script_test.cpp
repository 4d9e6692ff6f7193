#include "launcher/venv_script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <chrono>
#include <string>

#include "core/environment.h"
#include "deepspeed/error.h"
#include "temporary_folder.h"

namespace deepspeed::launcher {
namespace {

using ::testing::HasSubstr;

class VenvScriptTest : public ::testing::Test {
 protected:
  ~VenvScriptTest() override {
    for (const char* name : {"VENV_A", "VENV_B", "VIRTUAL_ENV"}) ::unsetenv(name);
  }

  std::vector<std::filesystem::path> source(const std::string& content) {
    VenvScript script(folder_.add_program("env; touch owned.sh", content), "node1");
    while (!script.is_done()) {
      std::vector<Watch> watches;
      script.add_watches(watches);
      wait_for(watches, std::chrono::steady_clock::time_point::max());
    }
    return script.apply();
  }

  std::string error_of(const std::string& content) {
    try {
      source(content);
    } catch (const ValueError& error) {
      return error.what();
    }
    return "no error";
  }

  TemporaryFolder folder_;
};

TEST_F(VenvScriptTest, VariablesAreAsItLeavesThemWhateverTheyHold) {
  ::setenv("VENV_A", "old", 1);
  ::setenv("VENV_B", "b", 1);
  const auto folders = source("echo said $#\nexport VENV_A=$'two\\nlines=\"$(id)'\nunset VENV_B\nVENV_C=x\n");
  EXPECT_EQ(core::environment("VENV_A"), "two\nlines=\"$(id)");
  EXPECT_EQ(core::environment("VENV_B"), std::nullopt);
  EXPECT_TRUE(folders.empty());
  EXPECT_FALSE(std::filesystem::exists("owned.sh"));
}

TEST_F(VenvScriptTest, TheInterpreterIsThatOfTheEnvironmentItActivates) {
  EXPECT_THAT(source("export VIRTUAL_ENV=/venv\n"), ::testing::ElementsAre("/venv/bin"));
  EXPECT_THAT(source("true\n"), ::testing::IsEmpty());
}

TEST_F(VenvScriptTest, WhatItLeavesInTheBackgroundIsNotWaitedFor) {
  const auto start = std::chrono::steady_clock::now();
  source("(sleep 60; true) &\nexport VENV_A=$!\n");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
  const auto left_behind = core::environment("VENV_A");
  ASSERT_TRUE(left_behind);
  ::kill(std::stoi(*left_behind), SIGKILL);
}

TEST_F(VenvScriptTest, FailuresNameHostPathAndExitCode) {
  for (const char* content : {"exit 3\n", "return 3\n", "(exit 3)\n"}) {
    EXPECT_THAT(error_of(content), HasSubstr("owned.sh on host node1 failed with exit code 3")) << content;
  }
  EXPECT_THAT(error_of("exit 0\n"), HasSubstr("on host node1 ended its shell with exit code 0"));
  try {
    const VenvScript script("/no/script", "node1");
    FAIL();
  } catch (const ValueError& error) {
    EXPECT_THAT(error.what(), HasSubstr("--venv_script /no/script on host node1: no such file"));
  }
}

}  // namespace
}  // namespace deepspeed::launcher
