// Which ranks are on which host. Pure functions of names.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace deepspeed::comm {

/// Hosts in the order of their first rank; ranks of a host in ascending order.
class HostMap {
 public:
  /// `names` by rank. Nothing where a name is empty: that rank shares with nobody.
  static std::optional<HostMap> from_names(const std::vector<std::string>& names);

  int num_hosts() const { return static_cast<int>(ranks_.size()); }
  /// Of each host; -1 where they differ.
  int ranks_per_host() const;

  int host_of(int rank) const { return host_of_[rank]; }
  int local_rank_of(int rank) const { return local_of_[rank]; }
  int rank_at(int host, int local_rank) const { return ranks_[host][local_rank]; }

 private:
  std::vector<std::vector<int>> ranks_;
  std::vector<int> host_of_;
  std::vector<int> local_of_;
};

}  // namespace deepspeed::comm
