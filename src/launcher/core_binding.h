// Which CPU cores a rank may use: core lists and their division among ranks. Pure functions.
#pragma once

#include <string>
#include <vector>

namespace deepspeed::launcher {

/// Reads "1,3-5,7": ascending, without overlap. Throws ValueError that shows the range that does not fit.
std::vector<int> parse_core_list(const std::string& list);

/// The kernel's form of a list of CPUs ("0-3,8"); text that is none gives an empty list.
std::vector<int> parse_cpu_list_of_kernel(const std::string& list);

/// Equal consecutive parts, floor(cores / ranks) each; what is left over stays unused.
/// Throws ValueError where there are fewer cores than ranks.
std::vector<std::vector<int>> share_cores(const std::vector<int>& cores, int num_ranks);

}  // namespace deepspeed::launcher
