#include "io/mapped_file.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "core/file.h"
#include "deepspeed/error.h"
#include "support/scratch_folder.h"

namespace deepspeed::io {
namespace {

TEST(MappedFile, ShowsTheWholeFileAndSurvivesAMove) {
  const auto path = test::scratch_path("mapped_file");
  core::write_file_atomically(path, "content");
  MappedFile first(path);
  MappedFile second(std::move(first));
  EXPECT_EQ(second.text(), "content");
  core::write_file_atomically(path, "");
  second = MappedFile(path);
  EXPECT_EQ(second.bytes(), 0u);
}

TEST(MappedFile, MissingFileAndFolderAreIoErrorsWithTheirPath) {
  try {
    MappedFile file("/nonexistent/file");
    FAIL() << "expected IoError";
  } catch (const IoError& error) {
    EXPECT_EQ(error.error_number(), ENOENT);
    EXPECT_EQ(error.path(), "/nonexistent/file");
  }
  EXPECT_THROW(MappedFile(std::filesystem::temp_directory_path()), IoError);
}

}  // namespace
}  // namespace deepspeed::io
