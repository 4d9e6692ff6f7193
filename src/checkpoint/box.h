// Where elements of a tensor lie: a box in the global tensor, and a range of elements in the box's row-major order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/element_type.h"

namespace deepspeed::checkpoint {

/// Per dimension the first index and the number of indices. Tensor-parallel cuts make boxes. No dimension: a scalar.
struct Box {
  std::vector<int64_t> offset;
  std::vector<int64_t> extent;
  bool operator==(const Box&) const = default;
};

/// Elements [begin, end). ZeRO's cuts make ranges.
struct Range {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t numel() const { return end - begin; }
  bool operator==(const Range&) const = default;
};

/// The box that covers all of a tensor.
Box whole_box(const std::vector<int64_t>& global_shape);

/// Elements in the box. Requires a box that find_geometry_error() accepts.
int64_t numel(const Box& box);

/// Empty where shape, box and range fit into each other and the tensor has fewer bytes than io::kMaxTensorBytes, else
/// what is wrong, as the end of a sentence.
std::string find_geometry_error(const std::vector<int64_t>& global_shape, io::ElementType type, const Box& box,
                                Range range);

}  // namespace deepspeed::checkpoint
