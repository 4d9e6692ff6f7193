// Where a test binary puts its files: one folder a process, so that two runs never meet, removed when it ends.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

namespace deepspeed::test {

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "ds_test_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed for " + name);
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A path at which nothing is yet; the same name again removes what is there. Forked children must leave by _exit().
inline std::filesystem::path scratch_path(const std::string& name) {
  static const ScratchFolder scratch;
  const auto path = scratch.path() / name;
  std::filesystem::remove_all(path);
  return path;
}

}  // namespace deepspeed::test
