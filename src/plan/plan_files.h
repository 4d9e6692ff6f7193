// Models and machines from JSON, for ds_plan.
#pragma once

#include <string>
#include <string_view>

#include "plan/machine.h"
#include "plan/model_shape.h"

namespace deepspeed::plan {

/// {"name", "sequence", "units": [{"name", "numel", "forward_flops_per_token": 2 x numel}]}, in forward order. Throws
/// ValueError that names `path` and the key that is missing, unknown or of another kind.
ModelDescription parse_model(std::string_view json, const std::string& path, core::Dtype dtype);

/// {"flops", "memory_bandwidth", "link_bandwidth", "link_latency_us", "network_latency_us", "memory_gb", "cores",
/// "contention": {"compute", "transfer"}}: as HostKind says; the first three are required. Throws as above.
HostKind parse_host(std::string_view json, const std::string& path);

}  // namespace deepspeed::plan
