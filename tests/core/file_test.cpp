#include "core/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <filesystem>

#include "deepspeed/error.h"
#include "support/scratch_folder.h"

namespace deepspeed::core {
namespace {

std::filesystem::path fresh_folder(const std::string& name) {
  const auto folder = test::scratch_path(name);
  std::filesystem::create_directories(folder);
  return folder;
}

TEST(File, WritesAndReadsBack) {
  const auto path = fresh_folder("roundtrip") / "file";
  write_file_atomically(path, "first");
  write_file_atomically(path, std::string("sec\0ond", 7));
  EXPECT_EQ(read_file(path), std::string("sec\0ond", 7));
}

TEST(File, MissingFileNamesPathAndErrno) {
  try {
    read_file("/nonexistent/file");
    FAIL() << "expected IoError";
  } catch (const IoError& error) {
    EXPECT_EQ(error.error_number(), ENOENT);
    EXPECT_EQ(error.path(), "/nonexistent/file");
    EXPECT_NE(std::string(error.what()).find("/nonexistent/file"), std::string::npos);
  }
}

// A file-size limit fails the write like a full disk does.
TEST(File, FailedWriteKeepsTheOldFileAndLeavesNothingBehind) {
  const auto folder = fresh_folder("full");
  const auto path = folder / "file";
  write_file_atomically(path, "precious");
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit{};
  getrlimit(RLIMIT_FSIZE, &old_limit);
  const rlimit small{1000, old_limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  EXPECT_THROW(write_file_atomically(path, std::string(100'000, 'x')), IoError);
  setrlimit(RLIMIT_FSIZE, &old_limit);
  EXPECT_EQ(read_file(path), "precious");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
}

}  // namespace
}  // namespace deepspeed::core
