// Hosts and their slots: the hostfile and the --include/--exclude grammar. Pure functions of text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace deepspeed::launcher {

/// One machine of a launch. A slot is the number of a GPU there; on CPU hosts it is only a label.
struct Host {
  std::string name;
  std::vector<int> slots;  ///< ascending, each once

  bool operator==(const Host&) const = default;
};

/// Reads lines `HOST slots=N`; blank lines and lines that start with # are skipped, text after N and a blank is
/// ignored. HOST is a name or an address, or USER@ and one; nothing in it can be taken for a flag or by a shell. `path`
/// is only for messages. Throws ValueError naming line and column on a bad line or a host named twice, and where there
/// is no host at all.
std::vector<Host> parse_hostfile(std::string_view text, const std::string& path);

/// Which hosts and slots to keep or to leave out: HOST[:SLOT[,SLOT...]] joined by @.
struct HostFilter {
  std::string text;       ///< empty: everything passes
  std::string origin;     ///< the flag or variable that it came from, for messages
  bool excludes = false;  ///< names what to leave out
};

/// The filter's hosts, slots sorted and each once; no slots: the whole host. Names of `pool` are known as a whole, with
/// the @ and : in them. Throws ValueError that shows the part that does not fit.
std::vector<Host> parse_host_filter(const HostFilter& filter, const std::vector<Host>& pool = {});

/// The hosts and slots of `pool` that the filter leaves, in the pool's order; hosts without slots are dropped.
/// Throws ValueError naming a host or slot that the pool does not have, and where nothing is left.
std::vector<Host> select_hosts(const std::vector<Host>& pool, const HostFilter& filter);

/// A host's name or address without the USER@ that ssh may need.
std::string address_of(const std::string& host);

}  // namespace deepspeed::launcher
