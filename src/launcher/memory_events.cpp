// Reading memory.events (cgroup 2), memory.oom_control (cgroup 1) or vmstat.
#include "launcher/memory_events.h"

#include <sys/statvfs.h>

#include <charconv>
#include <fstream>
#include <iterator>
#include <sstream>

namespace deepspeed::launcher {
namespace {

std::optional<int64_t> counter_in(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  return read_counter(text, "oom_kill");
}

// The cgroup of a line "id:controllers:path", below where it is usually mounted. In a container the path may be the
// host's, which is not there: then the mount's own top is the container's.
std::optional<int64_t> counter_of_line(const std::filesystem::path& root, const std::string& line) {
  const size_t first = line.find(':');
  const size_t second = line.find(':', first + 1);
  if (first == std::string::npos || second == std::string::npos) return std::nullopt;
  const std::string controllers = line.substr(first + 1, second - first - 1);
  const auto below = std::filesystem::path(line.substr(second + 1)).relative_path();
  const auto mount = root / "sys/fs/cgroup";
  if (controllers.empty()) {
    const auto count = counter_in(mount / below / "memory.events");
    return count ? count : counter_in(mount / "memory.events");
  }
  if (controllers != "memory") return std::nullopt;
  const auto count = counter_in(mount / "memory" / below / "memory.oom_control");
  return count ? count : counter_in(mount / "memory/memory.oom_control");
}

}  // namespace

std::optional<int64_t> read_counter(std::string_view text, std::string_view key) {
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ' ') continue;
    int64_t count = 0;
    const char* begin = line.data() + key.size() + 1;
    if (std::from_chars(begin, line.data() + line.size(), count).ec == std::errc()) return count;
  }
  return std::nullopt;
}

std::optional<OomKills> read_oom_kills(const std::filesystem::path& root) {
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (const auto count = counter_of_line(root, line)) return OomKills{"cgroup", *count};
  }
  if (const auto count = counter_in(root / "proc/vmstat")) return OomKills{"host", *count};
  return std::nullopt;
}

int64_t shared_memory_bytes() {
  struct statvfs info {};
  if (::statvfs("/dev/shm", &info) != 0) return 0;
  return static_cast<int64_t>(info.f_blocks) * static_cast<int64_t>(info.f_frsize);
}

}  // namespace deepspeed::launcher
