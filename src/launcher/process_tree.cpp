// One pass over /proc, then a walk down from the ancestor.
#include "launcher/process_tree.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>

namespace deepspeed::launcher {
namespace {

struct Entry {
  pid_t parent = 0;
  char state = '?';
};

// /proc/PID/stat: "pid (name) state parent ..."; the name may hold spaces and brackets.
std::optional<Entry> read_entry(const std::filesystem::path& folder) {
  std::ifstream file(folder / "stat");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  Entry entry;
  std::istringstream rest(text.substr(name_end + 1));
  if (!(rest >> entry.state >> entry.parent)) return std::nullopt;
  return entry;
}

}  // namespace

std::vector<pid_t> descendants_of(pid_t ancestor) {
  std::multimap<pid_t, std::pair<pid_t, char>> children;
  std::error_code error;
  for (const auto& folder : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = folder.path().filename().string();
    pid_t pid = 0;
    const auto [stop, problem] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (problem != std::errc() || stop != name.data() + name.size()) continue;
    if (const auto entry = read_entry(folder.path()))
      children.emplace(entry->parent, std::make_pair(pid, entry->state));
  }
  std::vector<pid_t> found;
  std::vector<pid_t> open = {ancestor};
  while (!open.empty()) {
    const auto [first, last] = children.equal_range(open.back());
    open.pop_back();
    for (auto child = first; child != last; ++child) {
      const auto [pid, state] = child->second;
      open.push_back(pid);
      if (state != 'Z' && state != 'X') found.push_back(pid);
    }
  }
  return found;
}

}  // namespace deepspeed::launcher
