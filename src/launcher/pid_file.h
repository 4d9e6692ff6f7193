// The file that --save_pid makes, /tmp/<pid>.deepspeed, for as long as this lives.
#pragma once

#include <filesystem>

namespace deepspeed::launcher {

class PidFile {
 public:
  /// Throws ValueError where a file of that name is there already.
  PidFile();
  ~PidFile();
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;

 private:
  std::filesystem::path path_;
};

}  // namespace deepspeed::launcher
