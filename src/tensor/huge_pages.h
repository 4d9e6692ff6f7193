// Large buffers on large pages: lanes are walked from end to end, and with pages of 4 KB the walk waits for page
// tables.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace deepspeed::tensor {

/// A 1-D tensor of `numel` elements with this value. Where it is large and on the CPU, the system is asked for pages of
/// 2 MB before they are first touched (transparent huge pages; where those are off, nothing changes).
at::Tensor full_on_huge_pages(int64_t numel, double value, const at::TensorOptions& options);

}  // namespace deepspeed::tensor
