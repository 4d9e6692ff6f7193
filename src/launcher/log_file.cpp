// Creating and reading log files.
#include "launcher/log_file.h"

#include <fcntl.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

#include "deepspeed/error.h"
#include "launcher/failure_report.h"
#include "launcher/line_splitter.h"

namespace deepspeed::launcher {
namespace {

constexpr std::streamoff kTailBytes = std::streamoff{64} << 10;

}  // namespace

core::Descriptor create_log_file(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  core::Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644));
  DS_CHECK(file || errno != EEXIST, ValueError, "[launcher] --enable_each_rank_log: ", path.string(),
           " exists already. Name another folder.");
  if (!file) throw IoError("[launcher] --enable_each_rank_log: creating " + path.string(), path.string(), errno);
  return file;
}

std::vector<std::string> last_lines_of_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return {};
  file.seekg(std::max<std::streamoff>(0, file.tellg() - kTailBytes));
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  LastLines lines;
  LineSplitter splitter;
  const auto keep = [&](const Line& line) { lines.add(line); };
  splitter.feed(text, keep);
  splitter.finish(keep);
  return lines.lines();
}

}  // namespace deepspeed::launcher
