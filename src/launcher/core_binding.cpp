// Core lists.
#include "launcher/core_binding.h"

#include <charconv>
#include <optional>
#include <sstream>
#include <string_view>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

constexpr int kMostCores = 65536;

struct Range {
  int first = 0;
  int last = 0;
};

std::optional<int> whole_number(std::string_view text) {
  int number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || stop != text.data() + text.size() || number < 0 || number >= kMostCores)
    return std::nullopt;
  return number;
}

std::optional<Range> parse_range(std::string_view text) {
  const size_t dash = text.find('-');
  const auto first = whole_number(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : whole_number(text.substr(dash + 1));
  if (!first || !last || *last < *first) return std::nullopt;
  return Range{*first, *last};
}

}  // namespace

std::vector<int> parse_core_list(const std::string& list) {
  std::vector<int> cores;
  std::istringstream parts(list + ",");  // so that an empty last part is seen as well
  for (std::string part; std::getline(parts, part, ',');) {
    const auto range = parse_range(part);
    DS_CHECK(range, ValueError, "[launcher] --bind_core_list ", list, ": bad range \"", part,
             "\", expected cores such as 0-3,8.");
    DS_CHECK(cores.empty() || range->first > cores.back(), ValueError, "[launcher] --bind_core_list ", list,
             ": bad range \"", part, "\": cores must ascend and stand there once.");
    for (int core = range->first; core <= range->last; ++core) cores.push_back(core);
  }
  return cores;
}

std::vector<int> parse_cpu_list_of_kernel(const std::string& list) {
  std::vector<int> cpus;
  std::istringstream parts(list.substr(0, list.find('\n')));
  for (std::string part; std::getline(parts, part, ',');) {
    const auto range = parse_range(part);
    if (!range) return {};
    for (int cpu = range->first; cpu <= range->last; ++cpu) cpus.push_back(cpu);
  }
  return cpus;
}

std::vector<std::vector<int>> share_cores(const std::vector<int>& cores, int num_ranks) {
  const size_t per_rank = cores.size() / static_cast<size_t>(num_ranks);
  DS_CHECK(per_rank >= 1, ValueError, "[launcher] --bind_cores_to_rank: ", cores.size(), " cores for ", num_ranks,
           " ranks; expected at least one core a rank. Start fewer ranks or name more cores.");
  std::vector<std::vector<int>> parts;
  for (int rank = 0; rank < num_ranks; ++rank) {
    const auto first = cores.begin() + static_cast<std::ptrdiff_t>(rank * per_rank);
    parts.emplace_back(first, first + static_cast<std::ptrdiff_t>(per_rank));
  }
  return parts;
}

}  // namespace deepspeed::launcher
