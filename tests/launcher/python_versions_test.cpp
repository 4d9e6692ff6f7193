#include "launcher/python_versions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "deepspeed/error.h"
#include "launcher/command.h"
#include "launcher/launch_plan.h"
#include "temporary_folder.h"

namespace deepspeed::launcher {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr std::chrono::seconds kLong{60};

PythonVersions with_torch(const std::string& torch) {
  return {.interpreter = "/p", .versions = {{"python", "3.11.7"}, {"torch", torch}, {"NCCL", ""}}};
}

TEST(PythonVersions, APythonSaysItsOwnVersion) {
  const auto python = find_python({}, environment_map());
  const PythonVersions answer = ask_python(python.string(), kLong);
  EXPECT_EQ(answer.fault, "");
  EXPECT_THAT(answer.versions.at("python"), StartsWith("3."));
  EXPECT_EQ(answer.versions.count("torch"), 1u);
}

// A package is what its metadata and its version.py say: neither is imported.
TEST(PythonVersions, TorchAndNcclAreReadAndNotImported) {
  const TemporaryFolder folder;
  const auto add = [&](const std::string& name, const std::string& file, const std::string& text) {
    std::filesystem::create_directories(folder.path() / name);
    std::ofstream(folder.path() / name / file) << text;
  };
  add("torch", "__init__.py", "raise SystemExit('imported')");
  add("torch", "version.py",
      "from typing import Optional\n__version__ = '2.99.0+cu130'\ncuda: Optional[str] = '13.0'\n");
  add("torch-2.99.0.dist-info", "METADATA", "Metadata-Version: 2.1\nName: torch\nVersion: 2.99.0\n");
  add("nvidia_nccl_cu13-2.30.1.dist-info", "METADATA",
      "Metadata-Version: 2.1\nName: nvidia-nccl-cu13\nVersion: 2.30.1\n");
  const auto python = find_python({}, environment_map()).string();
  const auto wrapper = folder.add_program(
      "python", "#!/bin/sh\nPYTHONPATH='" + folder.path().string() + "' exec '" + python + "' \"$@\"\n");
  const PythonVersions answer = ask_python(wrapper, kLong);
  EXPECT_EQ(answer.fault, "");
  EXPECT_EQ(answer.versions.at("torch"), "2.99.0+cu130");
  EXPECT_EQ(answer.versions.at("CUDA"), "13.0");
  EXPECT_EQ(answer.versions.at("NCCL"), "2.30.1");
}

TEST(PythonVersions, WhatFailsIsAFaultInItsOwnWords) {
  const TemporaryFolder folder;
  const auto broken = folder.add_program("broken", "#!/bin/sh\necho 'no such module' >&2\nexit 3\n");
  EXPECT_EQ(ask_python(broken, kLong).fault, "exit code 3: no such module");
  EXPECT_THAT(ask_python(folder.path() / "absent", kLong).fault, HasSubstr("No such file"));
  const auto chatty = folder.add_program("chatty", "#!/bin/sh\necho hello\n");
  EXPECT_THAT(ask_python(chatty, kLong).fault, HasSubstr("not an answer"));
  const auto slow = folder.add_program("slow", "#!/bin/sh\nexec sleep 1000\n");
  EXPECT_EQ(ask_python(slow, std::chrono::milliseconds(200)).fault, "it did not answer within 0.2 s");
}

TEST(PythonVersions, ComeBackAsTheyWere) {
  const PythonVersions versions{.interpreter = "/p", .versions = {{"torch", "2.13.0"}}, .fault = "f"};
  EXPECT_EQ(decode_versions(encode_versions(versions)), versions);
  EXPECT_THROW(decode_versions("{}"), ValueError);
  EXPECT_THROW(decode_versions("\xff"), ValueError);
}

TEST(PythonVersions, TheFewDifferFromTheMany) {
  const auto differences = find_differences({with_torch("2.12"), with_torch("2.13"), with_torch("2.13")});
  ASSERT_EQ(differences.size(), 1u);
  EXPECT_EQ(differences[0].host, 0u);
  EXPECT_EQ(differences[0].what, "torch");
  EXPECT_EQ(differences[0].version, "2.12");
  EXPECT_EQ(differences[0].usual, "2.13");
  EXPECT_EQ(differences[0].num_usual, 2u);
}

TEST(PythonVersions, OfTwoTheFirstIsTheUsualOne) {
  const auto differences = find_differences({with_torch("2.12"), with_torch("")});
  ASSERT_EQ(differences.size(), 1u);
  EXPECT_EQ(differences[0].host, 1u);
  EXPECT_EQ(differences[0].version, "");
}

TEST(PythonVersions, HostsWithAFaultAreNotCompared) {
  EXPECT_THAT(find_differences({with_torch("2.13"), {.fault = "no Python"}, with_torch("2.13")}), IsEmpty());
  EXPECT_THAT(find_differences({}), IsEmpty());
}

TEST(PythonVersions, TheThirdNumberOfPythonMakesNoDifference) {
  auto one = with_torch("2.13");
  auto other = one;
  other.versions["python"] = "3.11.9";
  EXPECT_THAT(find_differences({one, other}), IsEmpty());
  other.versions["python"] = "3.1";
  EXPECT_EQ(find_differences({one, other}).size(), 1u);
}

}  // namespace
}  // namespace deepspeed::launcher
