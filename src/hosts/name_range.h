// Names of hosts as people type them: node[1-8], 10.0.0.[3-9], rack[1,3]n[01-16]. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace deepspeed::hosts {

/// No list of hosts is longer.
inline constexpr size_t kMostHosts = 4096;

/// The names that a word stands for, in order. In brackets stand numbers and ranges of numbers, with commas between
/// them; a range whose first number begins with 0 keeps its width (node[08-10] is node08, node09, node10). All other
/// characters are those of a host's name, as in a hostfile; an IPv6 address has no brackets.
/// Throws ValueError that shows the word and the column where it stops being one.
std::vector<std::string> expand_name(std::string_view word);

/// Of all words, each name once, in the order in which it comes first. Throws ValueError as expand_name() does, and
/// where there is no word or a host too many.
std::vector<std::string> expand_names(const std::vector<std::string>& words);

}  // namespace deepspeed::hosts
