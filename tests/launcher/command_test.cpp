#include "launcher/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deepspeed/error.h"
#include "temporary_folder.h"

namespace deepspeed::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Options with_script(const std::string& script) {
  Options options;
  options.script = script;
  options.script_arguments = {"--epochs", "3"};
  return options;
}

std::string error_of(const Options& options) {
  try {
    resolve_command(options, {}, {{"PATH", "/nonexistent"}});
  } catch (const ValueError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Command, PythonBesideTheProgramComesFirstThenThePythonVariableThenThePath) {
  const TemporaryFolder venv, other, on_path;
  const auto beside = venv.add_program("python", "");
  const auto chosen = other.add_program("my_python", "");
  const auto found = on_path.add_program("python3", "");
  Environment environment = {{"PATH", "/nonexistent:" + on_path.path().string()}, {"PYTHON", chosen}};
  EXPECT_EQ(find_python({on_path.path() / "nothing", venv.path()}, environment), beside);
  EXPECT_EQ(find_python({}, environment), chosen);
  environment.erase("PYTHON");
  EXPECT_EQ(find_python({}, environment), found);
  EXPECT_THROW(find_python({}, {{"PATH", "/nonexistent"}}), ValueError);
}

TEST(Command, LocalRankStandsRightAfterTheScript) {
  const TemporaryFolder folder;
  const auto python = folder.add_program("python3", "");
  const auto script = folder.add_program("train.py", "print()");
  const Command command = resolve_command(with_script(script), {folder.path()}, {});
  EXPECT_THAT(command.for_local_rank(1), ElementsAre(python, "-u", script, "--local_rank=1", "--epochs", "3"));
}

TEST(Command, ModuleTakesDashMAndNoLocalRankLeavesTheFlagOut) {
  const TemporaryFolder folder;
  const auto python = folder.add_program("python3", "");
  Options options = with_script("package.train");
  options.module = true;
  options.no_local_rank = true;
  EXPECT_THAT(resolve_command(options, {folder.path()}, {}).for_local_rank(0),
              ElementsAre(python, "-u", "-m", "package.train", "--epochs", "3"));
}

TEST(Command, NoPythonLooksUpAProgramOnThePath) {
  const TemporaryFolder folder;
  const auto program = folder.add_program("train", "#!/bin/sh\n");
  Options options = with_script("train");
  options.no_python = true;
  EXPECT_EQ(resolve_command(options, {}, {{"PATH", folder.path().string()}}).words, std::vector<std::string>{program});
  EXPECT_THAT(error_of(options), HasSubstr("no program \"train\" on PATH"));
}

TEST(Command, ElfProgramIsRunWithoutPython) {
  const auto self = std::filesystem::read_symlink("/proc/self/exe").string();
  EXPECT_EQ(resolve_command(with_script(self), {}, {}).words, std::vector<std::string>{self});
}

TEST(Command, MissingScriptIsNamed) {
  EXPECT_THAT(error_of(with_script("no_such.py")), HasSubstr("no script no_such.py in "));
  Options options = with_script("./no_such");
  options.no_python = true;
  EXPECT_THAT(error_of(options), HasSubstr("./no_such is not an executable file"));
}

TEST(Command, FolderOfTheProgramIsWhereItWasCalled) {
  const TemporaryFolder folder;
  folder.add_program("deepspeed", "");
  EXPECT_EQ(program_folders("/venv/bin/deepspeed", {}).front(), "/venv/bin");
  EXPECT_EQ(program_folders("deepspeed", {{"PATH", folder.path().string()}}).front(), folder.path());
}

}  // namespace
}  // namespace deepspeed::launcher
