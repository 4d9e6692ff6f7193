// Grouping ranks by name.
#include "comm/host_map.h"

#include <algorithm>
#include <map>

namespace deepspeed::comm {

std::optional<HostMap> HostMap::from_names(const std::vector<std::string>& names) {
  HostMap map;
  std::map<std::string, int> numbers;
  for (size_t rank = 0; rank < names.size(); ++rank) {
    if (names[rank].empty()) return std::nullopt;
    const auto [found, is_new] = numbers.try_emplace(names[rank], map.num_hosts());
    if (is_new) map.ranks_.emplace_back();
    std::vector<int>& ranks = map.ranks_[found->second];
    map.host_of_.push_back(found->second);
    map.local_of_.push_back(static_cast<int>(ranks.size()));
    ranks.push_back(static_cast<int>(rank));
  }
  return map;
}

int HostMap::ranks_per_host() const {
  const size_t first = ranks_.front().size();
  const bool equal =
      std::all_of(ranks_.begin(), ranks_.end(), [&](const auto& ranks) { return ranks.size() == first; });
  return equal ? static_cast<int>(first) : -1;
}

}  // namespace deepspeed::comm
