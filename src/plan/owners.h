// Which rank steps which whole parameter, for optimizers that need whole ones.
#pragma once

#include <cstdint>
#include <vector>

namespace deepspeed::plan {

/// Largest first to the least loaded rank (lowest number among equals): the loads differ by at most the largest
/// parameter. The same on every rank.
std::vector<int> assign_owners(const std::vector<int64_t>& numels, int world);

}  // namespace deepspeed::plan
