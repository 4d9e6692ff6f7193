// Slurm's short forms of lists: "node[01-03,7]" for hosts, "2(x3),1" for numbers a host. Pure functions of text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace deepspeed::launcher {

/// The hosts of a node list in its order: names with commas between them, each with any number of brackets that hold
/// numbers and ranges ("rack[1-2]-node[08-11,20]", eight names; numbers have at least as many digits as the first of
/// their range). A name has nothing that could be taken for a flag or by a shell. `origin` is for messages. Throws
/// ValueError naming the column, and for more than 65,536 hosts.
std::vector<std::string> expand_node_list(std::string_view list, const std::string& origin);

/// The numbers of "2(x3),1": 2, 2, 2, 1. Throws ValueError naming the column.
std::vector<int> expand_counts(std::string_view list, const std::string& origin);

}  // namespace deepspeed::launcher
