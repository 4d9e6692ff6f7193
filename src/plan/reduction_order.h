// The one order in which units are reduced, the same on every rank.
#pragma once

#include <vector>

namespace deepspeed::plan {

/// The reverse of the order in which units were first used in rank 0's first forward; units that it did not use follow
/// in reverse registration order. `first_uses` may repeat units; every unit of 0..num_units-1 appears once in the
/// result.
std::vector<int> reduction_order(const std::vector<int>& first_uses, int num_units);

}  // namespace deepspeed::plan
